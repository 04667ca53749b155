"""Usage that another gateway reported, in the ten reports, and what it costs."""

import time
import uuid
from decimal import Decimal

from checks import check, equal

DAY = 86_400
DAYS = 3
TOKENS = {"input_tokens": 1000, "input_cached_tokens": 400, "output_tokens": 200}

# Of each report: the amounts of one event, what it is about besides project, person and key, and the filter for that.
REPORTS = {
    "completions": (TOKENS | {"num_model_requests": 2}, {"model": "models", "batch": "batch", "service_tier": None}),
    "embeddings": ({"input_tokens": 300, "num_model_requests": 1}, {"model": "models"}),
    "moderations": ({"input_tokens": 50, "num_model_requests": 1}, {"model": "models"}),
    "images": ({"images": 4, "num_model_requests": 1}, {"model": "models", "size": "sizes", "source": "sources"}),
    "audio_speeches": ({"characters": 900, "num_model_requests": 1}, {"model": "models"}),
    "audio_transcriptions": ({"seconds": 30, "num_model_requests": 1}, {"model": "models"}),
    "vector_stores": ({"usage_bytes": 4096}, {}),
    "code_interpreter_sessions": ({"num_sessions": 3}, {}),
    "file_search_calls": ({"num_requests": 5}, {"vector_store_id": "vector_store_ids"}),
    "web_search_calls": (
        {"num_requests": 6, "num_model_requests": 1},
        {"model": "models", "context_level": "context_levels"},
    ),
}
# Neither stored files nor sandboxes are anybody's.
WITHOUT_PEOPLE = ("vector_stores", "code_interpreter_sessions")
VALUES = {
    "batch": True,
    "service_tier": "priority",
    "size": "1024x1024",
    "source": "image.edit",
    "vector_store_id": "vs_1",
    "context_level": "high",
}
OTHERS = {"batch": False, "sizes": ["256x256"], "sources": ["image.variation"], "context_levels": ["low"]}


def usage(run, project, key):
    """Reports one event of each kind for each of three days, and finds them."""
    start = int(time.time()) // DAY * DAY - (DAYS - 1) * DAY
    about = {"project_id": project, "user_id": run.owner, "api_key_id": key, "model": next(iter(run.prices))} | VALUES
    events = [event(kind, start + day * DAY, about) for kind in REPORTS for day in range(DAYS)]
    taken = run.extension("/organization/usage/events", events)
    equal("usage is taken in", (taken["accepted"], taken["rejected"]), (len(events), []))
    for kind in REPORTS:
        report(run, kind, {"start_time": start, "end_time": start + DAYS * DAY}, about)
    costs(run, {"start_time": start, "end_time": start + DAYS * DAY}, about)


def dimensions(kind):
    """What events of that kind are about, with the filter for each."""
    person = {} if kind in WITHOUT_PEOPLE else {"user_id": "user_ids", "api_key_id": "api_key_ids"}
    return {"project_id": "project_ids"} | person | REPORTS[kind][1]


def told(kind, about):
    """What an event of that kind says besides its amounts. Only the model of completions has a price."""
    values = about | ({} if kind == "completions" else {"model": f"model-of-{kind}"})
    return {name: values[name] for name in dimensions(kind)}


def event(kind, midnight, about):
    """One event, in the first minute of a day."""
    fixed = {"id": f"evt_{uuid.uuid4().hex}", "type": kind, "timestamp": midnight + 30}
    return fixed | told(kind, about) | REPORTS[kind][0]


def report(run, kind, span, about):
    """The report of that kind, whole and page by page, grouped and filtered."""
    read, amounts = getattr(run.admin.usage, kind), REPORTS[kind][0]
    values = told(kind, about)
    buckets = all_pages(read, span | {"group_by": list(values), "bucket_width": "1d"})
    equal(f"{kind}: a bucket for each day", len(buckets), DAYS)
    for bucket in buckets:
        (row,) = bucket.results
        got = {name: value for name, value in row.to_dict().items() if name in amounts | values}
        equal(f"{kind}: what was reported", got, amounts | values)

    for name, word in dimensions(kind).items():
        if word is None:
            continue
        yes = values[name] if word == "batch" else [values[name]]
        no = OTHERS.get(word, ["nothing"])
        counts = [len(rows(read(**span, **{word: choice}))) for choice in (yes, no)]
        equal(f"{kind}: filtered by {word}", counts, [DAYS, 0])


def all_pages(read, words):
    """One long page has the buckets that pages of one have, which are read by their `next_page`."""
    whole = read(**words, limit=DAYS)
    buckets, page = [], read(**words, limit=1)
    while page.has_more:
        buckets += page.data
        page = read(**words, limit=1, page=page.next_page)
    buckets += page.data
    equal("page by page, each bucket once and in order", buckets, whole.data)
    check("the last page says so", not whole.has_more and whole.next_page is None and page.next_page is None, whole)
    return buckets


def rows(page):
    """The rows of all buckets."""
    return [row for bucket in page.data for row in bucket.results]


def costs(run, span, about):
    """Input, cached input and output tokens at their prices; other things have no price here."""
    read, model = run.admin.usage.costs, about["model"]
    price = run.prices[model]
    wanted = {
        f"{model}, input_tokens": price["input"] * (TOKENS["input_tokens"] - TOKENS["input_cached_tokens"]),
        f"{model}, input_cached_tokens": price["cached_input"] * TOKENS["input_cached_tokens"],
        f"{model}, output_tokens": price["output"] * TOKENS["output_tokens"],
    }
    mine = {"project_ids": [about["project_id"]], "api_key_ids": [about["api_key_id"]], "line_items": list(wanted)}
    groups = ["project_id", "api_key_id", "line_item", "user_id"]
    for bucket in all_pages(read, span | mine | {"group_by": groups, "bucket_width": "1d"}):
        got = {row.line_item: Decimal(str(row.amount.value)) * 1_000_000 for row in bucket.results}
        equal("costs are price × tokens", got, wanted)
        check("by project", all(row.project_id == about["project_id"] for row in bucket.results))
    equal("nothing else was spent", rows(read(**span, line_items=["nothing"])), [])
