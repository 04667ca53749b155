"""What administrators set happens to the traffic: one row for each check of the gateway, in their order. Each is set with the
official client, then a request is sent that must be refused and one that must pass, and the ledger has those that passed.

    OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_ADMIN_KEY=sk-admin-… \
    ORGPLANE_TEST_PRICES='{"gpt-5.5": {"input": "1.25", "cached_input": "0.125", "output": "10.00"}}' \
    python promises.py

The models of `models.json` must be served, and the model `unreachable` by an upstream that nobody listens at. Ends with 0 when
everything holds; else names the first thing that does not.
"""

import base64
import sys
import time
from collections import Counter

import openai

import administration
import reports
from checks import Failed, check, equal, finish
from run import Run
from traffic import messages

TEXT, IMAGES, SOUND = "gpt-5.5", "dall-e-3", "whisper-1"
REPORTS = {TEXT: "completions", IMAGES: "images", SOUND: "audio_transcriptions"}
RECORDING = ("a.mp3", base64.b64decode("//uQxAAAAAAAAAAAAAAAAAAAAAAAgP8ADQo="))
TOKENS = 1201 + 353
"""What `models.json` reports for this prompt: input and output. At the prices of the tests, half a cent."""
RATES = [f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")]


class Case:
    """One row: a project of its own, a key, and what has passed."""

    def __init__(self, run, name):
        self.run, self.name = run, name
        self.admin = run.admin.projects
        self.project = administration.project(run, name)
        account = self.admin.service_accounts.create(self.project, name=name)
        self.key = account.api_key
        self.client = openai.OpenAI(base_url=run.base_url, api_key=self.key.value, max_retries=0, timeout=30)
        self.passed = Counter()

    def chat(self, **content):
        """A completion."""
        content = {"model": TEXT, "messages": messages("Say hello.")} | content
        return self.client.chat.completions.with_raw_response.create(**content)

    def image(self, **content):
        """An image, or several."""
        content = {"model": IMAGES, "prompt": "A lighthouse."} | content
        return self.client.images.with_raw_response.generate(**content)

    def hear(self):
        """Speech made text."""
        return self.client.audio.transcriptions.with_raw_response.create(model=SOUND, file=RECORDING)

    def passes(self, what, call, model=TEXT):
        """The request is answered; returns the headers of its answer."""
        try:
            headers = call().headers
        except openai.APIStatusError as error:
            raise Failed(f"{self.name}: {what} must pass: {error}") from error
        self.passed[model] += 1
        check(f"{self.name}: {what} passes", headers["x-request-id"].startswith("req_"))
        return headers

    def refused(self, what, status, code, call, *words):
        """The request is refused, with these words in the message; returns the headers of its answer."""
        try:
            call()
        except openai.APIStatusError as error:
            equal(f"{self.name}: {what} is refused", (error.status_code, error.code), (status, code))
            message = error.body["message"]
            check(f"{self.name}: and says why", all(word in message for word in words), message)
            return error.response.headers
        raise Failed(f"{self.name}: {what} must be refused")

    def limit(self, model, **limits):
        """Sets rate limits."""
        self.admin.rate_limits.update_rate_limit(f"rl-{model}", project_id=self.project, **limits)

    def limited(self, what, call, *words):
        """The request is refused by a rate limit, and told when to come back."""
        headers = self.refused(what, 429, "rate_limit_exceeded", call, *words)
        after, precisely = int(headers["retry-after"]), int(headers["retry-after-ms"])
        check(f"{self.name}: and when to come back", 1 <= after and 0 < precisely <= after * 1000, dict(headers))
        return headers

    def in_ledger(self):
        """The ledger has what has passed, and nothing else."""
        start = self.run.started // 86400 * 86400
        until = time.monotonic() + reports.PATIENCE
        while (got := self.counted(start)) != self.passed and time.monotonic() < until:
            time.sleep(0.05)
        equal(f"{self.name}: the ledger has what has passed", got, self.passed)

    def counted(self, start):
        """How many requests the reports show, by model."""
        counted = Counter()
        for kind in sorted(set(REPORTS.values())):
            report = getattr(self.run.admin.usage, kind)
            answer = report(start_time=start, bucket_width="1d", group_by=["model"], project_ids=[self.project], limit=2)
            for bucket in answer.data:
                for row in bucket.results:
                    counted[row.model] += row.num_model_requests
        return +counted


def sizes(case):
    """1. The size of a body."""
    case.passes("an ordinary body", case.chat)
    long = messages("x" * (65 << 20))
    case.refused("one that is too long", 413, "request_too_large", lambda: case.chat(messages=long))


def keys(case):
    """2. A key that is known, of a project that is in use."""
    case.passes("a key", case.chat)
    accounts = case.admin.service_accounts
    other = accounts.create(case.project, name="Another")
    case.client = case.client.with_options(api_key=other.api_key.value)
    case.passes("a key of another account", case.chat)
    accounts.delete(other.id, project_id=case.project)
    case.refused("a key whose account is deleted", 401, "invalid_api_key", case.chat)
    case.client = case.client.with_options(api_key=case.key.value)
    case.passes("the first key", case.chat)
    case.admin.archive(case.project)
    case.refused("a key of an archived project", 401, "invalid_api_key", case.chat)


def scopes(case):
    """4. The scopes of a key."""
    keys = case.admin.api_keys
    keys.update(case.key.id, project_id=case.project, scopes=["api.model.read"])
    case.refused("a key without the scope", 403, "insufficient_permissions", case.chat, "api.model.request")
    keys.update(case.key.id, project_id=case.project, scopes=["api.model.request"])
    case.passes("a key with it", case.chat)


def models(case):
    """5 and 6. Models that there are, and that the project may call."""
    case.refused("a model that there is not", 404, "model_not_found", lambda: case.chat(model="unheard-of"), "unheard-of")
    permissions = case.admin.model_permissions
    for mode, names in (("allow_list", ["gpt-5.5-mini"]), ("deny_list", [TEXT])):
        permissions.update(case.project, mode=mode, model_ids=names)
        case.refused(f"a model outside of its {mode}", 403, "model_not_found", case.chat, TEXT, case.project)
    permissions.update(case.project, mode="allow_list", model_ids=[TEXT])
    case.passes("a model that is allowed", case.chat)
    permissions.delete(case.project)
    case.passes("any model, without a list", case.chat)


def tools(case):
    """7. Hosted tools."""
    permissions = case.admin.hosted_tool_permissions
    searching = lambda: case.chat(extra_body={"web_search_options": {}})  # noqa: E731
    asking = {"model": TEXT, "input": "Say hello.", "tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}
    running = lambda: case.client.responses.with_raw_response.create(**asking)  # noqa: E731
    disabled = {"enabled": False}
    permissions.update(case.project, web_search=disabled, code_interpreter=disabled)
    case.refused("a search", 403, "hosted_tool_not_enabled", searching, "web_search", case.project)
    case.refused("a program", 403, "hosted_tool_not_enabled", running, "code_interpreter")
    case.passes("a request without tools", case.chat)
    permissions.update(case.project, web_search={"enabled": True}, code_interpreter={"enabled": True})
    case.passes("a search when it is enabled", searching)
    case.passes("a program when it is enabled", running)


def spend(case, limit, where):
    """8. A limit of spend, of the project or the organization. Two requests cost a little more than a cent."""
    brief = lambda: case.chat(max_completion_tokens=400)  # noqa: E731
    spent = int(limit.spent) if limit.spent else 0
    limit.set(spent + 1)
    equal(f"{case.name}: it is enforced at once", limit.status(), "enforcing")
    for number in range(limit.room):
        case.passes(f"request {number + 1}", brief)
    headers = case.refused("one beyond the limit", 429, "insufficient_quota", brief, where)
    check(f"{case.name}: which will not pass by waiting", "retry-after" not in headers, dict(headers))
    limit.set(spent + 100)
    case.passes("one within the higher limit", brief)
    limit.set(spent + 1)
    case.refused("one beyond the lower limit", 429, "insufficient_quota", brief, where)
    limit.remove()
    case.passes("one without a limit", brief)


class ProjectLimit:
    """The spend limit of a project that has spent nothing yet."""

    spent, room = 0, 2

    def __init__(self, case):
        self.limits, self.project = case.admin.spend_limit, case.project

    def set(self, cents):
        """Sets it."""
        self.limits.update(self.project, threshold_amount=cents, currency="USD", interval="month")

    def status(self):
        """What it does."""
        return self.limits.retrieve(self.project).enforcement.status

    def remove(self):
        """Removes it."""
        self.limits.delete(self.project)


def project_spend(case):
    """8. The project's spend limit."""
    spend(case, ProjectLimit(case), case.project)


def organization_spend(case):
    """8. The organization's spend limit, which comes first: lower than what has been spent already."""
    limits = case.run.admin.spend_limit
    case.passes("a request", case.chat)
    case.in_ledger()
    case.admin.spend_limit.update(case.project, threshold_amount=1_000_000, currency="USD", interval="month")
    limits.update(threshold_amount=1, currency="USD", interval="month")
    case.refused("one beyond the organization's limit", 429, "insufficient_quota", case.chat, "organization")
    limits.delete()
    case.passes("one without it", case.chat)


def requests(case):
    """9. Requests in a minute, and in a day."""
    headers = case.passes("a request", case.chat)
    check(f"{case.name}: and says what is left", all(name in headers for name in RATES), dict(headers))
    case.limit(TEXT, max_requests_per_1_minute=3)
    headers = case.passes("the second of three", case.chat)
    left = (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"])
    equal(f"{case.name}: one is left", left, ("3", "1"))
    case.passes("the third", case.chat)
    headers = case.limited("the fourth", case.chat, TEXT, case.project)
    equal(f"{case.name}: none is left", headers["x-ratelimit-remaining-requests"], "0")
    case.limit(TEXT, max_requests_per_1_minute=4)
    case.passes("the fourth within a higher limit", case.chat)
    case.limit(TEXT, max_requests_per_1_minute=1000, max_requests_per_1_day=5)
    case.passes("the fifth of the day", case.chat)
    case.limited("the sixth of the day", case.chat, "day")


def tokens(case):
    """9. Tokens in a minute: what was used, and what is asked for."""
    case.limit(TEXT, max_tokens_per_1_minute=TOKENS + 450)
    ask = lambda most: lambda: case.chat(max_completion_tokens=most)  # noqa: E731
    headers = case.refused("more than can ever pass", 429, "rate_limit_exceeded", ask(TOKENS + 451), "token")
    equal(f"{case.name}: and that waiting does not help", headers["x-should-retry"], "false")
    case.passes("the first", ask(400))
    case.in_ledger()
    case.limited("more than is left", ask(460), "token")
    headers = case.passes("as much as is left", ask(400))
    equal(f"{case.name}: the limit is told", headers["x-ratelimit-limit-tokens"], str(TOKENS + 450))
    case.in_ledger()
    headers = case.limited("any more", ask(1), "token")
    equal(f"{case.name}: none is left", headers["x-ratelimit-remaining-tokens"], "0")


def media(case):
    """9. Images and audio in a minute."""
    case.limit(IMAGES, max_images_per_1_minute=3)
    case.passes("two images", lambda: case.image(n=2), IMAGES)
    case.limited("two more", lambda: case.image(n=2), "image")
    case.passes("one more", case.image, IMAGES)
    case.limit(SOUND, max_audio_megabytes_per_1_minute=1)
    case.passes("a recording", case.hear, SOUND)
    case.limited("another", case.hear, "audio")


def upstreams(case):
    """10. A model server that cannot be reached."""
    call = lambda: case.chat(model="unreachable")  # noqa: E731
    try:
        call()
    except openai.InternalServerError as error:
        check(f"{case.name}: the gateway is not at fault", error.status_code in (502, 503), error)
    else:
        raise Failed(f"{case.name}: nobody can have answered")
    case.passes("one that can be reached", case.chat)


ROWS = (
    sizes,
    keys,
    scopes,
    models,
    tools,
    project_spend,
    organization_spend,
    requests,
    tokens,
    media,
    upstreams,
)
"""The third check, of client certificates, needs TLS: `client_certificates.py`."""


def promises():
    """Keeps each of them."""
    run = Run()
    for row in ROWS:
        case = Case(run, row.__name__)
        row(case)
        case.in_ledger()


if __name__ == "__main__":
    sys.exit(finish(promises))
