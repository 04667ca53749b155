"""Reads metrics with Prometheus' own parser, and prints what it made of them as JSON."""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families


def described(family):
    """A metric, its name as it is exposed."""
    samples = [{"name": it.name, "labels": it.labels, "value": it.value} for it in family.samples]
    labels = {name for sample in samples for name in sample["labels"]} - {"le"}
    name = family.name + "_total" if family.type == "counter" else family.name
    return {
        "name": name,
        "type": family.type,
        "help": family.documentation,
        "label_names": sorted(labels),
        "samples": samples,
    }


with open(sys.argv[1], encoding="utf-8") as text:
    families = [described(family) for family in text_string_to_metric_families(text.read())]
names = [family["name"] for family in families]
assert len(names) == len(set(names)), names
json.dump(families, sys.stdout)
