"""Prints the types of a Parquet file's columns, and its rows with what there is in them, as JSON."""

import datetime
import decimal
import json
import sys

import pyarrow.parquet


def plain(value):
    if isinstance(value, datetime.datetime):
        return int(value.timestamp())
    if isinstance(value, decimal.Decimal):
        return int(value) if value == int(value) else float(value)
    return value


table = pyarrow.parquet.read_table(sys.argv[1])
rows = [{name: plain(value) for name, value in row.items() if value is not None} for row in table.to_pylist()]
print(json.dumps({"types": {field.name: str(field.type) for field in table.schema}, "rows": rows}))
