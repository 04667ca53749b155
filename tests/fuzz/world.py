"""What the server holds while it is fuzzed: ids that name something, and values that mean something."""

import random
import re
import time

import requests

# What a list answers to, where the path of one item lies below another list than the one it is found in.
LISTED_AT = [
    (re.compile(r"^/projects$"), "/organization/projects"),
    (re.compile(r"^/projects/([^/]+)/(users|groups)$"), r"/organization/projects/\1/\2"),
]
# Settings that answer 404 until they are made, and what makes them.
AMOUNT = {"threshold_amount": 500, "currency": "USD", "interval": "month"}
SETTINGS = {
    "spend_limit": AMOUNT,
    "model_permissions": {"mode": "deny_list", "model_ids": ["gpt-4"]},
    "data_retention": {"retention_type": "zero_data_retention"},
}
# What an event of each report must have.
EVENTS = {
    "completions": ("input_tokens", "output_tokens"),
    "embeddings": ("input_tokens",),
    "moderations": ("input_tokens",),
    "images": ("images",),
    "audio_speeches": ("characters",),
    "audio_transcriptions": ("seconds",),
    "vector_stores": ("usage_bytes",),
    "code_interpreter_sessions": ("num_sessions",),
    "file_search_calls": ("num_requests",),
    "web_search_calls": ("num_requests",),
    "decisions": ("input_tokens", "output_tokens"),
}
# How many items a list is kept at, so that a deletion does not leave the next operation without one.
FEW = 3


def list_path(path):
    """Where the list is that the item's path names."""
    for pattern, instead in LISTED_AT:
        path = pattern.sub(instead, path)
    return path


class Refused(Exception):
    """The server refused what furnishes it: from then on the fuzz would mean nothing."""


class World:
    """One organization, through the key of its first administrator, which the fuzz may neither delete nor weaken."""

    def __init__(self, base_url, seed, organization):
        self.base_url = base_url
        self.dice = random.Random(seed)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {organization['key']}"
        self.certificates = list(organization["certificates"])
        self.tokens = list(organization["tokens"])
        self.made = 0
        owner = next(user for user in self.listed("/organization/users") if user["role"] == "owner")
        keys = self.listed("/organization/admin_api_keys")
        self.protected = {owner["id"]} | {key["id"] for key in keys}
        self.default_project = self.listed("/organization/projects")[0]["id"]

    def send(self, method, path, body=None):
        """The answer to a request of our own; `None` when it is refused for what the fuzz did to the resource."""
        answer = self.session.request(method, self.base_url + path, json=body, timeout=30)
        if answer.status_code in (400, 404):
            return None
        if answer.status_code != 200:
            raise Refused(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def listed(self, path):
        """The first items of a list."""
        answer = self.send("GET", f"{list_path(path)}?limit=50")
        return answer["data"] if answer else []

    def one_in(self, cases):
        """True once in so many cases."""
        return self.dice.randrange(cases) == 0

    def fill(self, template):
        """Ids for the parameters of a path, from left to right, each of an item of the list before it."""
        ids, path = {}, ""
        for segment in template.strip("/").split("/"):
            if segment.startswith("{"):
                found = self.pick(path)
                if found is None:
                    return None
                ids[segment.strip("{}")] = segment = found
            elif segment in SETTINGS and not self.one_in(4):
                self.send("POST", f"{path}/{segment}", SETTINGS[segment])
            path += f"/{segment}"
        return ids

    def pick(self, path):
        """The id of an item of a list, which gets some if it has few."""
        items = self.usable(path)
        if len(items) < FEW:
            body = self.new(path)
            if body is not None and self.send("POST", list_path(path), body) is not None:
                items = self.usable(path) or items
        return self.dice.choice(items) if items else None

    def usable(self, path):
        """The ids in a list that a fuzz can be let loose on. What is predefined comes up now and then."""
        ids = [item.get("id") or item.get("group_id") for item in self.listed(path)]
        if path in ("/organization/projects", "/projects"):
            ids = [id for id in ids if id != self.default_project] if not self.one_in(20) else ids
        if path.endswith("roles") and not self.one_in(5):
            ids = [id for id in ids if not id.startswith("role-api-")]
        return [id for id in ids if id not in self.protected]

    def new(self, path):
        """A body that makes an item of a list; `None` where nothing can."""
        name = self.name()
        holder, _, noun = path.rpartition("/")
        in_project = re.match(r"^(?:/organization)?/projects/[^/]+", path)
        realm = in_project[0].replace("/organization", "") if in_project else "/organization"
        if noun == "roles" and "/users/" not in holder and "/groups/" not in holder:
            return {"role_name": name, "permissions": ["api.model.read"]}
        if noun == "roles":
            return self.naming(role_id=f"{realm}/roles")
        if noun == "users" and "/groups/" in holder:
            return self.naming(user_id="/organization/users")
        if noun == "users" and in_project:
            return self.naming(user_id="/organization/users", role="member")
        if noun == "groups" and in_project:
            return self.naming(group_id="/organization/groups", role="role-api-project-member")
        if path == "/organization/api_keys":
            return None
        if path == "/organization/me/api_keys":
            return self.naming(project_id="/organization/projects", name=name)
        if noun == "api_keys" and "/service_accounts/" not in holder:
            return self.naming(user_id=f"{in_project[0]}/users", name=name)
        if noun == "certificates" and not in_project:
            return {"certificate": self.certificates.pop()} if self.certificates else None
        if noun == "spend_alerts":
            channel = {"type": "email", "recipients": ["ops@acme.example"]}
            return AMOUNT | {"notification_channel": channel}
        if noun == "invites":
            return {"email": f"{name}@acme.example".replace(" ", "-"), "role": "reader"}
        if noun in ("projects", "groups", "service_accounts", "admin_api_keys", "api_keys"):
            return {"name": name}
        return None

    def name(self):
        """A name that nothing has yet."""
        self.made += 1
        return f"Made {self.made} {time.monotonic_ns()}"

    def naming(self, **fields):
        """A body whose fields that are paths are ids from the lists at these paths."""
        body = {key: self.pick(value) if value.startswith("/") else value for key, value in fields.items()}
        return body if all(body.values()) else None

    def event(self):
        """Fields of a usage event of any report, lately and in a project that is there."""
        kind = self.dice.choice(list(EVENTS))
        amounts = {metric: self.dice.randrange(1000) for metric in EVENTS[kind]}
        when = int(time.time()) - self.dice.randrange(30 * 86_400)
        names = {"id": self.name(), "type": kind, "project_id": self.pick("/organization/projects")}
        return {"timestamp": when} | names | amounts
