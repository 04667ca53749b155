"""Lists, read page by page."""

import openai

from checks import check, equal, refused


def pages(run, name, read, *, key=lambda item: item.id):
    """`read` lists at least three things. Read by two at a time, each comes once, in the order of long pages."""
    wanted = [key(item) for item in read(limit=100)]
    offered = run.record.last.parameters
    check(f"{name}: long pages have all", len(set(wanted)) == len(wanted) > 2, wanted)

    calls = run.record.called.total()
    equal(f"{name}: page by page, each once and in order", [key(item) for item in read(limit=2)], wanted)
    equal(f"{name}: and no page more than that takes", run.record.called.total() - calls, (len(wanted) + 1) // 2)
    equal(f"{name}: from the second one on", [key(item) for item in read(after=wanted[0], limit=2)], wanted[1:])
    refused(f"{name}: an unknown cursor", openai.BadRequestError, lambda: read(after="nobody"), param="after")

    if "order" in offered:
        both = [[key(item) for item in read(order=order, limit=2)] for order in ("asc", "desc")]
        equal(f"{name}: backwards", both[0], both[1][::-1])
        check(f"{name}: in one of both orders when none is given", wanted in both, (wanted, both))
    if "before" in offered:
        equal(f"{name}: before the last", [key(item) for item in read(before=wanted[-1], limit=100).data], wanted[-101:-1])
        equal(f"{name}: two before the last", [key(item) for item in read(before=wanted[-1], limit=2).data], wanted[-3:-1])
    return wanted
