"""ClickHouse in this process, its data in the folder that is named: a line of JSON in, a line of JSON out, for
`cargo xtask load history`."""

import json
import sys
import time

from chdb.session import Session

session = Session(sys.argv[1])
for line in sys.stdin:
    order = json.loads(line)
    microseconds = []
    for _ in range(order["times"]):
        begun = time.perf_counter()
        answer = session.query(order["sql"], "JSONEachRow").bytes()
        microseconds.append((time.perf_counter() - begun) * 1e6)
    print(json.dumps({"microseconds": microseconds, "answer": answer.decode()}), flush=True)
