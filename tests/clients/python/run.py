"""What the steps of a run share: clients, keys, and the record of what was done."""

import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

import httpx2
import openai

from checks import Failed


def from_environment(name):
    """The value of an environment variable that has to be set."""
    value = os.environ.get(name)
    if not value:
        raise Failed(f"the environment variable {name} is not set")
    return value


@dataclass(frozen=True)
class Spender:
    """A key that calls models, and whom its calls are accounted to."""

    project: str
    key: str
    value: str


@dataclass
class Write:
    """An administrative write that was made, and so must be in the audit log."""

    type: str
    resource: str
    project: str | None
    companions: list = field(default_factory=list)


class Run:
    """One run against one server."""

    def __init__(self):
        self.base_url = from_environment("OPENAI_BASE_URL").rstrip("/")
        self.admin_key = from_environment("OPENAI_ADMIN_KEY")
        prices = json.loads(from_environment("ORGPLANE_TEST_PRICES"))
        self.prices = {model: {kind: Decimal(price) for kind, price in row.items()} for model, row in prices.items()}
        self.started = int(time.time())
        self._lock = threading.Lock()
        self._clients = {}
        self.client = self.client_of(self.admin_key)
        self.admin = self.client.admin.organization
        self.writes = []
        self.tokens = Counter()

    def client_of(self, value):
        """A client that uses this key for everything, believes nothing and tries once."""
        with self._lock:
            if value not in self._clients:
                self._clients[value] = openai.OpenAI(
                    base_url=self.base_url,
                    api_key=value,
                    admin_api_key=value,
                    max_retries=0,
                    timeout=30,
                    _strict_response_validation=True,
                )
            return self._clients[value]

    def post(self, path, key=None, **content):
        """A request that the client has no method for."""
        headers = {"Authorization": f"Bearer {key or self.admin_key}"} | content.pop("headers", {})
        return httpx2.post(self.base_url + path, headers=headers, timeout=30, **content)

    def wrote(self, type, resource, project=None, companions=()):
        """Records a write. Companions are events that may accompany its own: (type, resource)."""
        self.writes.append(Write(type, resource, project, list(companions)))

    def spent(self, spender, model, usage):
        """Records what the model server reported for one request."""
        cached = (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0
        amounts = {"input": usage.prompt_tokens, "cached": cached, "output": usage.completion_tokens, "requests": 1}
        self.add(spender.project, model, spender.key, amounts)

    def add(self, project, model, key, amounts):
        """Adds amounts to what the reports must show for this project, model and key."""
        with self._lock:
            for kind, amount in amounts.items():
                self.tokens[project, model, key, kind] += amount

    def totals(self, *positions):
        """What was recorded, summed up by some of project (0), model (1) and key (2)."""
        sums = {}
        for (*dimensions, kind), amount in self.tokens.items():
            group = tuple(dimensions[position] for position in positions)
            sums.setdefault(group, Counter())[kind] += amount
        return sums
