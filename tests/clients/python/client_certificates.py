"""Client certificates with the official client, over TLS: asked for by what an administrator activates, from the next request
on, on connections that are open already.

    OPENAI_BASE_URL=https://127.0.0.1:8080/v1 OPENAI_ADMIN_KEY=sk-admin-… ORGPLANE_TEST_CERTIFICATES=DIR \
    ORGPLANE_TEST_PRICES='{"gpt-5.5": {"input": "1.25", "cached_input": "0.125", "output": "10.00"}}' \
    python client_certificates.py

DIR holds `servers.pem`, the authority of the server's certificate; `clients.pem`, the authority to activate; and `client.pem`
with `client.key`, which the latter has issued.
"""

import json
import ssl
import sys
from pathlib import Path

import openai

from checks import check, equal, finish, refused
from run import from_environment
from traffic import messages


def client_of(key, identity=None):
    """A client that trusts the server's authority alone, and shows a certificate if it has one."""
    directory = Path(from_environment("ORGPLANE_TEST_CERTIFICATES"))
    context = ssl.create_default_context(cafile=directory / "servers.pem")
    if identity:
        context.load_cert_chain(directory / f"{identity}.pem", directory / f"{identity}.key")
    return openai.OpenAI(
        base_url=from_environment("OPENAI_BASE_URL"),
        api_key=key,
        admin_api_key=key,
        max_retries=0,
        timeout=30,
        http_client=openai.DefaultHttpxClient(verify=context),
    )


def client_certificates():
    """The path, step by step."""
    admin = client_of(from_environment("OPENAI_ADMIN_KEY")).admin.organization
    model = next(iter(json.loads(from_environment("ORGPLANE_TEST_PRICES"))))
    project = admin.projects.create(name="Certified").id
    key = admin.projects.service_accounts.create(project, name="Application").api_key.value
    pem = (Path(from_environment("ORGPLANE_TEST_CERTIFICATES")) / "clients.pem").read_text()
    certificate = admin.certificates.create(certificate=pem, name="Clients").id
    without, showing = client_of(key), client_of(key, "client")

    def chat(client):
        return lambda: client.chat.completions.create(model=model, messages=messages("Say hello."))

    def both_pass(when):
        for client in (without, showing):
            check(f"{when}, no certificate is asked for", bool(chat(client)().choices))

    def asked_for(where):
        code = "client_certificate_required"
        refused(f"{where} asks for a certificate", openai.AuthenticationError, chat(without), code)
        refused(f"{where} asks for one of readers", openai.AuthenticationError, without.models.list, code)
        check(f"{where} is shown one", bool(chat(showing)().choices))
        with showing.chat.completions.stream(model=model, messages=messages("Say hello.")) as stream:
            check(f"{where} lets a stream pass", bool(stream.get_final_completion().choices))

    both_pass("before")
    active = list(admin.projects.certificates.activate(project, certificate_ids=[certificate]))
    equal("a certificate is activated in the project", [item.active for item in active], [True])
    asked_for("the project")
    list(admin.projects.certificates.deactivate(project, certificate_ids=[certificate]))
    both_pass("between")
    list(admin.certificates.activate(certificate_ids=[certificate]))
    asked_for("the organization")
    list(admin.certificates.deactivate(certificate_ids=[certificate]))
    both_pass("after")


if __name__ == "__main__":
    sys.exit(finish(client_certificates))
