"""The two generators: how each makes a client, and how an operation of its client is called."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
import typing
from pathlib import Path

from replay import KEY

BIN = Path(sys.executable).parent


def generate(*words):
    """Runs a generator, and shows what it said if it fails."""
    done = subprocess.run([BIN / words[0], *words[1:]], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{words[0]} failed:\n{done.stdout}\n{done.stderr}")


def models_in(annotation):
    """The classes of models that an annotation names."""
    inner = [model for part in typing.get_args(annotation) for model in models_in(part)]
    return [annotation] if hasattr(annotation, "from_dict") else inner


def body_for(function, body, make):
    """The argument that the body is, as the first of the models that takes it without a loss."""
    if body is None:
        return {}
    hints = typing.get_type_hints(function)
    for name in inspect.signature(function).parameters:
        for model in models_in(hints.get(name)):
            made = make(model, body)
            if made.to_dict() == body:
                return {name: made}
    raise TypeError(f"no parameter of {function.__name__} takes {body}")


class OpenApiPythonClient:
    """https://github.com/openapi-generators/openapi-python-client"""

    def __init__(self, document, folder):
        config = folder / "config.yml"
        config.write_text("post_hooks: []\n")
        package = folder / "generated_attrs"
        words = ["generate", "--path", document, "--meta", "none", "--output-path", package, "--config", config]
        generate("openapi-python-client", *words, "--fail-on-warning")
        self.package = importlib.import_module(package.name)
        self.modules = {}
        api = importlib.import_module(f"{package.name}.api")
        for _, tag, _ in pkgutil.iter_modules(api.__path__):
            inner = importlib.import_module(f"{api.__name__}.{tag}")
            for _, name, _ in pkgutil.iter_modules(inner.__path__):
                self.modules[name] = f"{inner.__name__}.{name}"

    def connect(self, url):
        """Prepares to send requests."""
        self.client = self.package.AuthenticatedClient(base_url=url, token=KEY, raise_on_unexpected_status=True)
        self.open = self.package.Client(base_url=url, raise_on_unexpected_status=True)

    def call(self, exchange):
        """The answer as the generated model, and that model as JSON."""
        module = importlib.import_module(self.modules[exchange["operation"].replace("-", "_")])
        make = lambda model, body: model.from_dict(body)
        words = dict(exchange["parameters"], **body_for(module.sync_detailed, exchange["body"], make))
        client = self.client if exchange["needs_key"] else self.open
        answer = module.sync_detailed(client=client, **words).parsed
        return answer, answer.to_dict()

    def unknown(self, value, place="answer"):
        """The fields that the models have no name for."""
        if isinstance(value, list):
            return [found for item in value for found in self.unknown(item, f"{place}[]")]
        fields = getattr(type(value), "__attrs_attrs__", None)
        if fields is None:
            return []
        names = [field.name for field in fields if field.name != "additional_properties"]
        found = [one for name in names for one in self.unknown(getattr(value, name), f"{place}.{name}")]
        # A schema that allows any further field is a model without names, or has a type for them.
        is_open = not names or type(value).__annotations__.get("additional_properties") not in (
            "dict[str, Any]",
            dict[str, typing.Any],
        )
        return found if is_open else found + [f"{place}.{name}" for name in getattr(value, "additional_properties", {})]


class OpenApiGenerator:
    """https://openapi-generator.tech"""

    def __init__(self, document, folder):
        package = "generated_pydantic"
        properties = "apis,models,supportingFiles,apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"
        words = ["generate", "-i", document, "-g", "python", "-o", folder, "--global-property", properties]
        generate("openapi-generator-cli", *words, "--package-name", package)
        self.package = importlib.import_module(package)
        api = importlib.import_module(f"{package}.api")
        self.classes = [kind for name, kind in vars(api).items() if name.endswith("Api")]

    def connect(self, url):
        """Prepares to send requests."""
        configuration = self.package.Configuration(host=url, access_token=KEY)
        self.client = self.package.ApiClient(configuration)

    def call(self, exchange):
        """The answer as the generated model, and that model as JSON."""
        name = exchange["operation"].replace("-", "_")
        [kind] = [kind for kind in self.classes if hasattr(kind, name)]
        function = getattr(kind(self.client), name)
        words = dict(exchange["parameters"], **body_for(function, exchange["body"], self.make))
        answer = function(**words)
        return answer, answer.to_dict()

    def make(self, model, body):
        """The model with the members of a body. From a dictionary, a model says null of whatever it may lack."""
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        return model(**{name: self.choice(fields.get(name), value) for name, value in body.items()})

    def choice(self, field, value):
        """The value of a member: a choice of types is a model around one of them."""
        kinds = models_in(field.annotation) if field else []
        choices = [kind for kind in kinds if "actual_instance" in getattr(kind, "model_fields", {})]
        return choices[0](value) if choices else value

    def unknown(self, _):
        """What the models have no name for is not kept, and so missing from their JSON."""
        return []
