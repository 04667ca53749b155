"""Checks: one line for each that holds, an error that says what was expected for the first that does not."""

import openai


class Failed(Exception):
    """A check did not hold."""


def check(name, holds, detail=""):
    """The check of that name passes when `holds` is true."""
    if not holds:
        raise Failed(f"{name}: {detail}" if detail else name)
    print(f"ok  {name}", flush=True)


def equal(name, got, wanted):
    """The check of that name passes when both are equal. Of two dictionaries that are not, only the difference is shown."""
    if isinstance(got, dict) and isinstance(wanted, dict) and got != wanted:
        missing = object()
        differ = {key for key in got.keys() | wanted.keys() if got.get(key, missing) != wanted.get(key, missing)}
        got = {key: value for key, value in got.items() if key in differ}
        wanted = {key: value for key, value in wanted.items() if key in differ}
    check(name, got == wanted, f"got {got!r}, wanted {wanted!r}")


def refused(name, error, call, code=None, param=None):
    """The check of that name passes when the call raises this error, with this code and this parameter."""
    try:
        answer = call()
    except error as refusal:
        for key in ("message", "type", "param", "code"):
            body = refusal.body
            if not (isinstance(body, dict) and key in body):
                raise Failed(f"{name}: the error has no `{key}`: {body!r}") from refusal
        if code is not None and refusal.code != code:
            raise Failed(f"{name}: code is {refusal.code!r}, wanted {code!r}") from refusal
        if param is not None and not (refusal.param or "").startswith(param):
            raise Failed(f"{name}: param is {refusal.param!r}, wanted {param!r}") from refusal
        check(name, True)
    except openai.APIError as other:
        raise Failed(f"{name}: wanted {error.__name__}, got {type(other).__name__}: {other}") from other
    else:
        raise Failed(f"{name}: wanted {error.__name__}, got the answer {answer!r}")


def finish(work):
    """Does the work and says how it ended: 0 when everything holds."""
    try:
        work()
    except Failed as failure:
        print(f"FAILED  {failure}", flush=True)
        return 1
    except openai.APIError as error:
        request = error.request
        print(f"FAILED  {request.method} {request.url}: {type(error).__name__}: {error}", flush=True)
        raise
    print("everything holds", flush=True)
    return 0
