"""What the steps share: the client, the record of what it sent, and who and what is there already."""

import json
from decimal import Decimal

import httpx2
import openai

from checks import Failed, check
from run import from_environment

from .record import Record

PEOPLE = 6


class Run:
    """One run against one server."""

    def __init__(self):
        self.base_url = from_environment("OPENAI_BASE_URL").rstrip("/")
        self.admin_key = from_environment("OPENAI_ADMIN_KEY")
        self.certificates = json.loads(from_environment("ORGPLANE_TEST_CERTIFICATES"))
        prices = json.loads(from_environment("ORGPLANE_TEST_PRICES"))
        self.prices = {model: {kind: Decimal(price) for kind, price in row.items()} for model, row in prices.items()}
        document = httpx2.get(self.base_url.removesuffix("/v1") + "/openapi.json").raise_for_status().json()
        self.record = Record(document)
        self.admin = self.client_of(self.admin_key).admin.organization
        self.owner = next(key.owner.id for key in self.admin.admin_api_keys.list())
        self.people = [user for user in self.admin.users.list() if user.id != self.owner]
        check(f"there are {PEOPLE} people besides the owner", len(self.people) == PEOPLE, self.people)

    def client_of(self, key):
        """A client that administers with this key, believes nothing, tries once, and whose requests are recorded."""
        http = openai.DefaultHttpxClient(event_hooks={"response": [self.record.note]})
        return openai.OpenAI(
            base_url=self.base_url,
            admin_api_key=key,
            api_key=key,
            http_client=http,
            max_retries=0,
            timeout=30,
            _strict_response_validation=True,
        )

    def extension(self, path, body):
        """A request to an operation of our own, which the client has no method for."""
        headers = {"Authorization": f"Bearer {self.admin_key}"}
        answer = httpx2.post(self.base_url + path, headers=headers, json=body, timeout=30)
        if answer.status_code != 200:
            raise Failed(f"POST {path} answered {answer.status_code}: {answer.text}")
        return answer.json()
