"""What the client sends, found again in the server's own document: the proof that no operation was left out."""

import re
from collections import Counter, defaultdict

from checks import Failed, equal

METHODS = ("get", "post", "delete")


class Operation:
    """A method on the paths of one template."""

    def __init__(self, method, template, described):
        self.name = f"{method.upper()} {template}"
        self.method = method.upper()
        self.pattern = re.compile("/v1" + re.sub(r"\{\w+\}", "[^/]+", template))
        of_query = [item for item in described.get("parameters", []) if item["in"] == "query"]
        self.parameters = {item["name"] for item in of_query if not item.get("x-orgplane", False)}
        self.is_ours = described.get("x-orgplane", False)
        self.placeholders = template.count("{")


class Record:
    """The requests of one run that succeeded, counted by operation, with the query parameters that they had."""

    def __init__(self, document):
        self.operations = [
            Operation(method, template, described[method])
            for template, described in document["paths"].items()
            for method in METHODS
            if method in described
        ]
        # Of the operations that a path fits, the one that spells most of it out is meant.
        self.operations.sort(key=lambda operation: operation.placeholders)
        self.called = Counter()
        self.sent = defaultdict(set)
        self.last = None

    def note(self, response):
        """Called by the client for every answer."""
        request = response.request
        operation = self.operation(request.method, request.url.path)
        if response.is_success:
            self.last = operation
            self.called[operation.name] += 1
            self.sent[operation.name] |= {name.partition("[")[0] for name in request.url.params}

    def operation(self, method, path):
        """The operation that a request is for."""
        for operation in self.operations:
            if operation.method == method and operation.pattern.fullmatch(path):
                return operation
        raise Failed(f"the client sent {method} {path}, which is no operation of the server's document")

    def complete(self):
        """Every operation that the official API has was called, and each of its query parameters was used."""
        wanted = [operation for operation in self.operations if not operation.is_ours]
        if len(wanted) < 100:
            raise Failed(f"the document has only {len(wanted)} operations")
        equal("operations that were not called", [one.name for one in wanted if not self.called[one.name]], [])
        unused = {one.name: sorted(one.parameters - self.sent[one.name]) for one in wanted}
        equal("parameters that were not used", {name: some for name, some in unused.items() if some}, {})
        print(f"{len(wanted)} operations, {self.called.total()} calls", flush=True)
