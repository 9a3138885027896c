"""Failures on the operator's page: every metric, value and event in them exists."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import pytest

from service.canaries.canary import Expectation
from service.causes import Cause
from service.observability.challenge_reports import challenge_counts
from service.observability.labels import RefusalCause
from service.observability.metrics import Metrics
from service.observability.redeem_reports import redeem_counts
from service.ownership import Outcome, Reason
from service.redeem.redeem_reason import RedeemReason
from tests.docs.pages import code, codes, section, table, tables, text_of

PAGE: Final = "docs/operations.md"
KINDS: Final = ("When itch.io fails", "When Redis fails", "When the process or its machine fails")

_FOREIGN: Final = frozenset({"up", "process_open_fds", "process_resident_memory_bytes", "process_start_time_seconds"})
"""Metrics of Prometheus itself and of its client library."""

_SERIES: Final = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})?")


def _rows(title: str) -> Iterator[dict[str, str]]:
    found = table(PAGE, title, first="what fails")
    return (dict(zip(found.header, row, strict=True)) for row in found.rows)


def _ways_to_fail() -> list[dict[str, str]]:
    return [row for title in KINDS for row in _rows(title)]


def _exposed() -> str:
    metrics = Metrics(games=["x-moon"], version="1.2.3", sandbox=False, off=())
    metrics.canary("x-moon", Expectation.OWNER, ok=True, checked_at=datetime.now(UTC))
    metrics.read_revocations("x-moon", lambda: True)
    metrics.trouble("redis", before=None, now=Cause.REFUSED)
    metrics.show_forward_auth()
    challenge_counts(metrics)
    redeem_counts(metrics, RedeemReason)
    return metrics.render()[0].decode()


def _events() -> set[str]:
    return {code for row in table(PAGE, "Logs", first="event").rows for code in codes(row[0])}


def _fields() -> set[str]:
    return {code for row in table(PAGE, "Logs", first="event").rows for code in codes(row[2])}


@pytest.mark.parametrize("row", _ways_to_fail(), ids=lambda row: row["what fails"][:30])
def test_metrics_of_failures(row: dict[str, str]) -> None:
    """The series to look at are among those that are exposed, with these values of their labels."""
    exposed = _exposed()

    for series in codes(row["metric"]):
        match = _SERIES.fullmatch(series)
        assert match, series
        if match["name"] not in _FOREIGN:
            lines = [
                line
                for line in exposed.splitlines()
                if re.match(rf"ownership_gateway_{match['name']}(_count)?\b", line)
            ]
            wanted = (match["labels"] or "").split(",")
            assert any(all(label in line for label in wanted) for line in lines), series


@pytest.mark.parametrize("row", _ways_to_fail(), ids=lambda row: row["what fails"][:30])
def test_events_of_failures(row: dict[str, str]) -> None:
    """The lines to look for are among those that are logged."""
    assert set(codes(row["log"])) <= _events()


@pytest.mark.parametrize("row", _ways_to_fail(), ids=lambda row: row["what fails"][:30])
def test_every_failure_is_told_whole(row: dict[str, str]) -> None:
    """Each row has its failure, its consequence, the signal, and the remedy."""
    assert all(row.values())


def test_events_of_alerts() -> None:
    """The runbooks' lines about the log name events, their fields, and what these hold."""
    said = re.findall(r"^\* \*\*Log\*\*: (.*(?:\n  .*)*)", text_of(PAGE), re.MULTILINE)
    words = {code for line in said for code in codes(line) if re.fullmatch(r"\w+", code)}

    assert said
    assert words <= _events() | _fields() | set(RefusalCause) | set(Reason) | set(Cause)


@pytest.mark.parametrize("title", ["After a refund", "Changing the seller's key"])
def test_events_of_procedures(title: str) -> None:
    """Every word with an underscore is an event, a field, a reason, a kind of credential, or a setting."""
    known = _events() | _fields() | set(Reason) | set(Outcome)
    settings = {
        "itch",
        *(code for found in tables(text_of("docs/configuration.md")) for row in found.rows for code in codes(row[0])),
    }

    assert {word for word in codes(section(PAGE, title)) if re.fullmatch(r"[a-z]+(_[a-z]+)+", word)} <= known | settings


def test_causes() -> None:
    """Every cause is documented, each with something to do, and no other is."""
    rows = table(PAGE, "Causes", first="cause").rows

    assert [code(row[0]) for row in rows] == list(Cause)
    assert all(all(row) for row in rows)


def test_the_index_leads_to_every_alert() -> None:
    """Each runbook can be found by what is seen."""
    text = text_of(PAGE)
    alerts = text[text.index("\n## Alerts\n") : text.index("\n## What it costs")]
    anchors = {title.lower().replace(" ", "-") for title in re.findall(r"^### (.+)$", alerts, re.MULTILINE)}

    assert anchors <= set(re.findall(r"\(#([a-z-]+)\)", section(PAGE, "By symptom")))
