"""`deploy/prometheus` and `deploy/alertmanager`, by the tools' own examination, and held against what they speak of."""

import re
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from tests.deploy.monitoring import ROOT, ROUTES, RULES, exposed, run, shipped_rules
from tests.docs.pages import headings, section

_TESTS: Final = sorted((RULES.parent / "tests").glob("*.yaml"))
_ALERTS: Final = [rule for rule in shipped_rules() if "alert" in rule]
_RUNBOOK: Final = "docs/operations.md#"

Alert = dict[str, Any]


def _id(alert: Alert) -> str:
    return f"{alert['alert'].removeprefix('OwnershipGateway')}-{alert['labels']['severity']}"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _heading_of(alert: Alert) -> str:
    """Return the heading in the runbook that an alert leads to."""
    anchor = alert["annotations"]["runbook"].removeprefix(_RUNBOOK)
    (heading,) = [title for title in headings((ROOT / "docs/operations.md").read_text()) if _anchor(title) == anchor]
    return heading


def _checks() -> list[tuple[str, list[Alert]]]:
    """Return each check of every case: an alert's name, and the alerts expected under it."""
    return [
        (check["alertname"], check["exp_alerts"])
        for file in _TESTS
        for case in yaml.safe_load(file.read_text())["tests"]
        for check in case["alert_rule_test"]
    ]


def test_rules_are_valid() -> None:
    """Prometheus takes the rules, and its linter has nothing to say against them."""
    checked = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES)

    assert checked.returncode == 0, checked.stdout


def test_example_configuration_is_valid() -> None:
    """Prometheus takes the example of a configuration, and the rules that it names."""
    checked = run("promtool", "check", "config", RULES.parent / "prometheus.example.yml")

    assert checked.returncode == 0, checked.stdout
    assert "1 rule files found" in checked.stdout


def test_metrics_are_well_named() -> None:
    """Prometheus' linter has nothing to say against what the gateway exposes."""
    checked = run("promtool", "check", "metrics", said=exposed())

    assert (checked.returncode, checked.stdout) == (0, "")


@pytest.mark.parametrize("file", _TESTS, ids=lambda file: file.stem)
def test_rules_do_what_their_cases_say(file: Path) -> None:
    """Every alert fires, with the words expected, and stays quiet where it should."""
    tested = run("promtool", "test", "rules", file)

    assert tested.returncode == 0, tested.stdout


@pytest.mark.parametrize("alert", _ALERTS, ids=_id)
def test_a_case_sees_it_fire(alert: Alert) -> None:
    """There is a case in which the alert fires."""
    fired = [expected for name, all_expected in _checks() if name == alert["alert"] for expected in all_expected]

    assert alert["labels"]["severity"] in {expected["exp_labels"]["severity"] for expected in fired}


@pytest.mark.parametrize("alert", _ALERTS, ids=_id)
def test_a_case_sees_it_stay_quiet(alert: Alert) -> None:
    """There is a case in which the alert stays quiet."""
    assert (alert["alert"], []) in _checks()


@pytest.mark.parametrize("alert", _ALERTS, ids=_id)
def test_is_complete(alert: Alert) -> None:
    """An alert says how bad it is, what it is about in a few words and in many, and what to do."""
    assert alert["alert"].startswith("OwnershipGateway")
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}


@pytest.mark.parametrize("alert", _ALERTS, ids=_id)
def test_leads_to_its_runbook(alert: Alert) -> None:
    """The runbook has a section of the alert's name, which says how it looks and what to do."""
    heading = _heading_of(alert)

    words = re.sub(r"(?<!^)(?=[A-Z])", " ", alert["alert"].removeprefix("OwnershipGateway"))
    assert heading.lower() == words.lower()
    for part in ("Symptom", "Metric", "Log", "Action"):
        assert f"* **{part}**: " in section("docs/operations.md", heading)


def test_every_runbook_has_its_alert() -> None:
    """The runbook has no section to which nothing leads."""
    runbook = (ROOT / "docs/operations.md").read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
    written = headings(runbook)

    assert set(written) == {_heading_of(alert) for alert in _ALERTS}


@pytest.mark.parametrize("rule", shipped_rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_speaks_of_what_there_is(rule: dict[str, Any]) -> None:
    """A rule reads metrics and label values that the gateway has, and series that another rule records."""
    shown = exposed()
    recorded = {rule["record"] for rule in shipped_rules() if "record" in rule}

    for name in re.findall(r"[\w:]*ownership_gateway_[\w:]*", rule["expr"]):
        assert name in recorded or re.search(rf"^{name}[ {{]", shown, re.MULTILINE), name
    for label, matched in re.findall(r'(\w+)!?=~?"([^"]*)"', rule["expr"]):
        if label == "job":
            continue
        for value in matched.split("|"):
            assert f'{label}="{value}"' in shown or (label, value) == ("sandbox", "true")


def test_example_routes_are_valid() -> None:
    """Alertmanager takes the example of a configuration."""
    checked = run("amtool", "check-config", ROUTES)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "pager"), ("warning", "tickets")])
def test_example_routes_lead_there(severity: str, receiver: str) -> None:
    """A critical alert goes to the pager, the rest waits for the morning."""
    routed = run(
        "amtool", "config", "routes", "test", f"--config.file={ROUTES}",
        "alertname=OwnershipGatewaySellerKeyRefused", f"severity={severity}",
    )  # fmt: skip

    assert routed.stdout.splitlines()[-1] == receiver


@pytest.mark.parametrize("file", [RULES, ROUTES, RULES.parent / "prometheus.example.yml"], ids=lambda file: file.name)
def test_points_at_no_real_host(file: Path) -> None:
    """Every address in the examples is below `.example`, which belongs to no one."""
    hosts = {httpx.URL(url).host for url in re.findall(r"https?://[^\s\"'#]+", file.read_text())}

    assert all(host.endswith(".example") for host in hosts)
