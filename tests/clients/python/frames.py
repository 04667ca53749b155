"""Writes usage events as Parquet, as those do who have them in a data frame: frames.py FOLDER PROJECT."""

import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 2_500
NOW = int(time.time())


def table(name, project, moments):
    """The events of one file: `ROWS` requests with 100 + i input and i output tokens."""
    numbers = range(ROWS)
    return pa.table(
        {
            "id": [f"{name}-{i}" for i in numbers],
            "timestamp": moments([NOW - i for i in numbers]),
            "type": pa.array(["completions"] * ROWS).dictionary_encode(),
            "project_id": pa.array([project] * ROWS, pa.large_string()),
            "model": [None if i % 5 == 0 else "gpt-5" for i in numbers],
            "batch": [None if i % 3 == 0 else False for i in numbers],
            "input_tokens": pa.array([100 + i for i in numbers], pa.int32()),
            "output_tokens": pa.array([float(i) for i in numbers]),
            "input_cached_tokens": pa.array([None if i % 2 else 10 for i in numbers], pa.uint32()),
        }
    )


def main(folder, project):
    plain = pa.array
    files = {
        "snappy": (plain, {"compression": "snappy"}),
        "zstd": (lambda seconds: pa.array(seconds, pa.timestamp("s", "UTC")), {"compression": "zstd", "data_page_version": "2.0"}),
        "gzip": (lambda seconds: pa.array([s * 1_000_000_000 for s in seconds], pa.timestamp("ns")), {"compression": "gzip"}),
        "none": (lambda seconds: pa.array(map(float, seconds)), {"compression": "none", "use_dictionary": False}),
    }
    for name, (moments, options) in files.items():
        pq.write_table(table(name, project, moments), f"{folder}/{name}.parquet", row_group_size=900, **options)
    print("everything holds")


main(*sys.argv[1:])
