"""The findings of `doctor`: one for each check, for a person or a program."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

import click
from msgspec import Struct

from service.causes import Cause
from service.cli.terminal import printable


class FindingLevel(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    """It works, and an operator should know something about it."""
    PROBLEM = "problem"
    """It does not work as configured."""
    SKIPPED = "skipped"
    """It could not be checked, or there is nothing to check."""


class Finding(Struct, frozen=True):
    """One check's verdict, the facts behind it, and the remedy. No secret is ever in it.

    `why` is the cause where something gives no answer, in the word that logs and health have for it.
    """

    check: str
    verdict: FindingLevel
    detail: str
    hint: str | None = None
    why: Cause | None = None


class Report(Struct, frozen=True):
    """All findings, as `--json` shows them."""

    ok: bool
    checks: Sequence[Finding]


_COLORS: Final = {
    FindingLevel.OK: "green",
    FindingLevel.WARNING: "yellow",
    FindingLevel.PROBLEM: "red",
    FindingLevel.SKIPPED: "bright_black",
}


def report(findings: Sequence[Finding]) -> Report:
    """Return the report: it is ok while nothing is a problem."""
    return Report(all(finding.verdict is not FindingLevel.PROBLEM for finding in findings), findings)


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Return the findings for a person, hints indented below."""
    for finding in findings:
        verdict = click.style(f"{finding.verdict:<8}", fg=_COLORS[finding.verdict], bold=True)
        why = f" ({finding.why})" if finding.why is not None else ""
        yield f"{verdict} {finding.check}: {printable(finding.detail)}{why}"
        if finding.hint is not None:
            yield f"{'':<8} -> {printable(finding.hint)}"
