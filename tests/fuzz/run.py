"""Fuzzes a server with what its own OpenAPI document allows and forbids, and says what was answered.

Its one word is the name of a file with `address`, `document`, `requests`, `seed`, `phases`, `unreached` (how many
operations may be left without a success) and `organizations`. Each of these has a `key`, `certificates` to upload and
`tokens` of invitations, and takes its share of the requests."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections import Counter

HERE = pathlib.Path(__file__).resolve().parent


def round_of(folder, plan, organization, number, examples):
    """One run of schemathesis in one organization: whether it found nothing, and the statuses by operation."""
    counts, round = folder / f"counts-{number}.json", folder / f"round-{number}.json"
    seed = plan["seed"] + number
    told = {"base_url": plan["address"] + "/v1", "seed": seed, "organization": organization, "counts": str(counts)}
    round.write_text(json.dumps(told))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "--no-color"]
    command += ["run", plan["address"] + "/openapi.json", "--phases", plan["phases"] if number == 0 else "fuzzing"]
    command += ["--seed", str(seed), "--max-examples", str(examples)]
    command += ["--header", f"Authorization: Bearer {organization['key']}"]
    environment = os.environ | {
        "ORGPLANE_FUZZ_ROUND": str(round),
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(HERE),
        "NO_PROXY": "*",
    }
    finished = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True)
    if finished.returncode != 0:
        print(finished.stdout, finished.stderr, sep="\n", flush=True)
    return finished.returncode == 0, json.loads(counts.read_text())


def summary(statuses, operations):
    """Prints what was answered; the operations that never succeeded."""
    total = Counter()
    for counts in statuses.values():
        total.update(counts)
    of = {first: sum(n for status, n in total.items() if status[0] == first) for first in "2345"}
    by_status = ", ".join(f"{status}: {count}" for status, count in sorted(total.items()))
    print(f"{total.total()} requests: {of['2']} succeeded, {of['4']} refused, {of['5']} failed ({by_status})")
    never = sorted(op for op in operations if not any(status[0] == "2" for status in statuses.get(op, {})))
    print(f"{len(operations) - len(never)} of {len(operations)} operations succeeded; never: {', '.join(never) or 'none'}")
    return never


def main():
    """Round after round, until there were enough requests."""
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    with open(plan["document"], encoding="utf-8") as file:
        paths = json.load(file)["paths"]
    operations = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    share = -(-plan["requests"] // len(plan["organizations"]))
    statuses, clean, requests = {}, True, 0
    with tempfile.TemporaryDirectory() as folder:
        for number, organization in enumerate(plan["organizations"]):
            if requests >= plan["requests"]:
                break
            # A quarter more, since some operations have few different examples.
            examples = -(-share * 5 // (4 * len(operations)))
            found_nothing, counts = round_of(pathlib.Path(folder), plan, organization, number, examples)
            clean &= found_nothing
            for operation, count in counts.items():
                statuses.setdefault(operation, Counter()).update(count)
                requests += sum(count.values())
            print(f"round {number + 1}: {requests} requests", flush=True)
    never = summary(statuses, operations)
    problems = [] if clean else ["there are findings"]
    if requests < plan["requests"]:
        problems.append(f"there were fewer than {plan['requests']} requests")
    if len(never) > plan["unreached"]:
        problems.append(f"more than {plan['unreached']} operations never succeeded")
    print("; ".join(problems) or "nothing found")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
