"""Usage and costs, which must agree with what was recorded to the last token and the last fraction of a cent."""

import json
import time
from collections import Counter
from decimal import Decimal

from checks import Failed, check, equal

SECONDS = {"1m": 60, "1h": 3600, "1d": 86400}
DIMENSIONS = ("project_id", "model", "api_key_id")
PATIENCE = 3.0
"""Seconds until reports must show every request: one that was hung up on ends 1.5 s later, and is due 1 s after its end."""


def usage(run, projects):
    """Reads usage in every width, grouped and not, in several pages each."""
    wanted = run.totals(0, 1, 2)
    until = time.monotonic() + PATIENCE
    while (got := completions(run, "1m", DIMENSIONS, project_ids=projects)) != wanted:
        if time.monotonic() > until:
            equal("usage shows every request in time", got, wanted)
        time.sleep(0.05)
    check("usage shows every request in time", True)
    for width in SECONDS:
        for positions in ((), (0,), (1,), (2,), (0, 1), (0, 1, 2)):
            groups = [DIMENSIONS[position] for position in positions]
            got = completions(run, width, groups, project_ids=projects)
            equal(f"usage by {width} and {groups} equals what was reported", got, run.totals(*positions))


def filtered_usage(run, spender, owner):
    """Reads the usage of one key, of one model, and by user."""
    of_key = {group: sums for group, sums in run.totals(2, 1).items() if group[0] == spender.key}
    got = completions(run, "1h", ("api_key_id", "model"), api_key_ids=[spender.key])
    equal("usage of one key", got, of_key)
    model = list(run.prices)[-1]
    of_model = {group: sums for group, sums in run.totals(1, 0).items() if group == (model, spender.project)}
    got = completions(run, "1h", ("model", "project_id"), models=[model], project_ids=[spender.project])
    equal("usage of one model", got, of_model)
    got = completions(run, "1d", ("user_id",), api_key_ids=[spender.key])
    equal("usage of a user's key is that user's", got, {(owner,): sum(of_key.values(), Counter())})
    got = completions(run, "1d", ("batch",), api_key_ids=[spender.key], batch=False)
    equal("usage outside of batches", got, {(False,): sum(of_key.values(), Counter())})


def completions(run, width, groups, **filters):
    """Sums of all buckets since a little before the run started, by group."""
    step = SECONDS[width]
    start = run.started // step * step - 2 * step
    end = int(time.time()) // step * step + step
    sums, expected = {}, start
    for bucket in pages(run, start, end, width, list(groups), filters):
        if (bucket.start_time, bucket.end_time) != (expected, expected + step):
            raise Failed(f"a {width} bucket is {bucket.start_time}–{bucket.end_time}, wanted one from {expected}")
        expected += step
        for result in bucket.results:
            add(sums, groups, result)
    if expected != end:
        raise Failed(f"{width} buckets end at {expected}, wanted {end}")
    return sums


def pages(run, start, end, width, groups, filters):
    """All buckets, two to a page."""
    page, seen = None, set()
    while True:
        more = {"page": page} if page else {}
        more |= {"group_by": groups} if groups else {}
        answer = run.admin.usage.completions(
            start_time=start, end_time=end, bucket_width=width, limit=2, **more, **filters
        )
        yield from answer.data
        if answer.has_more != (answer.next_page is not None):
            raise Failed(f"has_more is {answer.has_more}, next_page is {answer.next_page!r}")
        if not answer.has_more:
            return
        page = answer.next_page
        if page in seen:
            raise Failed(f"the page {page!r} comes twice")
        seen.add(page)


def add(sums, groups, result):
    """Adds a result to the sums of its group, after a look at the fields it must not have."""
    every = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier")
    stray = {name: getattr(result, name) for name in every if name not in groups and getattr(result, name) is not None}
    if stray:
        raise Failed(f"a result that is grouped by {groups} has {stray}")
    found = {
        "input": result.input_tokens,
        "cached": result.input_cached_tokens or 0,
        "output": result.output_tokens,
        "requests": result.num_model_requests,
    }
    sums.setdefault(tuple(getattr(result, name) for name in groups), Counter()).update(found)


def costs(run, projects):
    """Reads costs by line item and compares amounts as decimal numbers, as they are written in the answer."""
    wanted = {}
    for (project, model), sums in run.totals(0, 1).items():
        for item, amount in lines(model, sums):
            if amount:
                wanted[project, f"{model}, {item}_tokens"] = (amount, price(run, model, item, amount))
    until = time.monotonic() + PATIENCE
    while (got := cost_lines(run, projects)) != wanted and time.monotonic() < until:
        time.sleep(0.05)
    equal("costs by line item are price × tokens, exactly", got, wanted)

    total = sum((amount for _, amount in wanted.values()), Decimal(0))
    everything = raw_costs(run, project_ids=projects)
    equal("their sum is the ungrouped amount, exactly", sum((amount_of(row) for row in everything), Decimal(0)), total)
    check("ungrouped costs have no quantity", all(row["quantity"] is None for row in everything))
    item = next(name for _, name in wanted)
    chosen = raw_costs(run, project_ids=projects, group_by=["line_item"], line_items=[item])
    equal("costs of one line item", {row["line_item"] for row in chosen}, {item})


def lines(model, sums):
    """What a model's tokens are billed as. Cached input has a line of its own."""
    return (
        ("input", sums["input"] - sums["cached"]),
        ("input_cached", sums["cached"]),
        ("output", sums["output"]),
    )


def price(run, model, item, amount):
    """The price of that many tokens, in US dollars."""
    kind = {"input": "input", "input_cached": "cached_input", "output": "output"}[item]
    return run.prices[model][kind] * amount / 1_000_000


def cost_lines(run, projects):
    """Quantities and amounts by project and line item."""
    sums = {}
    for row in raw_costs(run, project_ids=projects, group_by=["project_id", "line_item"]):
        if row["quantity_unit"] != "tokens":
            raise Failed(f"the line {row['line_item']!r} is measured in {row['quantity_unit']!r}")
        quantity, amount = sums.get((row["project_id"], row["line_item"]), (0, Decimal(0)))
        sums[row["project_id"], row["line_item"]] = (quantity + row["quantity"], amount + amount_of(row))
    return {group: found for group, found in sums.items() if found[0]}


def amount_of(row):
    """A row's amount in US dollars."""
    if row["amount"]["currency"] != "usd":
        raise Failed(f"an amount is in {row['amount']['currency']!r}")
    return row["amount"]["value"]


def raw_costs(run, **filters):
    """Rows of all buckets; numbers as they are written, after the client has accepted their shape."""
    start = run.started // 86400 * 86400
    answer = run.admin.usage.with_raw_response.costs(start_time=start, **filters)
    answer.parse()
    body = json.loads(answer.text, parse_float=Decimal, parse_int=Decimal)
    return [row for bucket in body["data"] for row in bucket["results"]]
