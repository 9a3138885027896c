# ruff: noqa: INP001 - a command, not a package
"""Checks dashboards against Grafana's own schema: what it does not know, or reads otherwise, is a mistake.

Run with the environment of grafana-schema.txt: deploy/check-prometheus.sh does.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def main() -> int:
    """Return 1 if something in the dashboards that are named does not survive being read and written by the schema."""
    register_default_plugins()
    mistakes = 0
    for path in map(Path, sys.argv[1:]):
        ours = json.loads(path.read_text(encoding="utf-8"))
        theirs = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
        for mistake in _differences(ours, theirs, "dashboard"):
            mistakes += 1
            print(f"error: {path.name}: {mistake}", file=sys.stderr)  # noqa: T201 - this is a command
        panels = len(ours["panels"])
        print(f"{path.name}: {panels} panels and rows, schema {ours['schemaVersion']}, {mistakes} mistakes")  # noqa: T201
    return 1 if mistakes else 0


def _differences(ours: object, theirs: object, where: str) -> Iterator[str]:
    match ours, theirs:
        case dict(), dict():
            for key, value in ours.items():
                if key in theirs:
                    yield from _differences(value, theirs[key], f"{where}.{key}")
                else:
                    yield f"{where}.{key} is unknown to the schema"
        case list(), list() if len(ours) == len(theirs):
            for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
                yield from _differences(one, other, f"{where}[{index}]")
        case _ if ours != theirs:
            yield f"{where} is {ours!r}, and read as {theirs!r}"


if __name__ == "__main__":
    sys.exit(main())
