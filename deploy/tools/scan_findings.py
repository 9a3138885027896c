# ruff: noqa: INP001, T201 - a command, not a package
"""Prints what a scanner found and nobody waived: scan_findings.py bandit|checkov REPORT.json, in the repository's root.

A waiver stands in scan_waivers.toml with its reason. For bandit a line's `noqa: S…` is one, too: ruff's S rules are
bandit's, number for number, and have their reasons beside them. Exits with 1 if something is left, or if a waiver
waives nothing any more.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

_WAIVERS: Final = Path(__file__).with_name("scan_waivers.toml")


class Finding(NamedTuple):
    """The rule, the place where it was broken as waivers name it, and a line for people."""

    rule: str
    place: str
    text: str


def main() -> int:
    """Print what is left, and return 1 if anything is."""
    tool, report = sys.argv[1:]
    found = list(_READERS[tool](json.loads(Path(report).read_text())))
    waivers = tomllib.loads(_WAIVERS.read_text())[tool]
    fitting = {finding: [waiver for waiver in waivers if _fits(waiver, finding)] for finding in found}
    left = [f"{one.rule} {one.place}: {one.text}" for one in found if not fitting[one]]
    waived = len(found) - len(left)
    used = [waiver for several in fitting.values() for waiver in several]
    left += [f"nothing is waived by {one['rule']} for {one['places']}" for one in waivers if one not in used]
    for line in left:
        print(f"error: {tool}: {line}", file=sys.stderr)
    print(f"{tool}: {waived} findings are waived in {_WAIVERS.name}, {len(left)} are left")
    return 1 if left else 0


def _fits(waiver: dict[str, Any], finding: Finding) -> bool:
    return waiver["rule"] == finding.rule and any(fnmatchcase(finding.place, place) for place in waiver["places"])


def _of_bandit(report: dict[str, Any]) -> Iterator[Finding]:
    if report["errors"]:
        raise SystemExit(f"error: bandit could not read {report['errors']}")
    for one in report["results"]:
        lines = Path(one["filename"]).read_text().splitlines()
        rule = one["test_id"]
        of_ruff = re.compile(rf"# noqa: [A-Z0-9, ]*\bS{rule.removeprefix('B')}\b.* - ")
        if not any(of_ruff.search(lines[number - 1]) for number in one["line_range"]):
            yield Finding(rule, one["filename"].removeprefix("./"), f"line {one['line_number']}: {one['issue_text']}")


def _of_checkov(report: dict[str, Any] | list[dict[str, Any]]) -> Iterator[Finding]:
    for part in report if isinstance(report, list) else [report]:
        if part["summary"]["parsing_errors"]:
            raise SystemExit(f"error: checkov could not read {part['summary']['parsing_errors']} files")
        for one in part["results"]["failed_checks"]:
            # Without the line, and of a long name without what follows from labels.
            resource = one["resource"].split(".app.kubernetes.io/")[0]
            yield Finding(one["check_id"], f"{one['file_path'].strip('/')}:{resource}", one["check_name"])


_READERS: Final = {"bandit": _of_bandit, "checkov": _of_checkov}

if __name__ == "__main__":
    sys.exit(main())
