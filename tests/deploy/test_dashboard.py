"""`deploy/grafana`: each panel's question is asked of a real Prometheus that watches the real gateway.

There is no Grafana here. The form is checked against Grafana's own schema by deploy/check-prometheus.sh, and below is
what we ask of it beyond that.
"""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

import pytest

from service.cache.replicated_table import MOST_ENTRIES
from service.cache.shared_overrides import MOST_OVERRIDES
from service.ownership import Outcome
from tests.deploy.monitoring import ROOT, Scene, exposed, scene, until

_DASHBOARD: Final[dict[str, Any]] = json.loads((ROOT / "deploy/grafana/ownership-gateway.json").read_text())
_ALL: Final[list[dict[str, Any]]] = _DASHBOARD["panels"]
_PANELS: Final = [panel for panel in _ALL if panel["type"] != "row"]
_VARIABLES: Final = {variable["name"]: variable for variable in _DASHBOARD["templating"]["list"]}
_QUERIES: Final = [
    pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}")
    for panel in _PANELS
    for target in panel["targets"]
]
UNSHOWN: Final = {
    "ownership_gateway_source_clock_offset_seconds",  # no panel can be tried with it: the sandbox does not say the time
    "ownership_gateway_decisions_total",  # what the panels show as `answers_total`, in more detail than fits
    "ownership_gateway_canary_checked_at",  # an instant, to see how old `canary_ok` is
}
"""Metrics that are on no panel."""

_FIRST_DATA_SECONDS: Final = 120.0
"""Counted from the start of it all: where nothing works, not every panel waits anew."""

_LEAST_SECONDS: Final = 3.0


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A gateway on the sandbox that is asked all the time and scraped every second; an operator has believed noes."""
    with scene(tmp_path_factory.mktemp("monitored")) as running:
        running.believe(believe=True)
        yield running


def _as_asked(expression: str) -> str:
    """Return what Grafana would send, with every gateway chosen."""
    chosen = {"$__rate_interval": "20s", "$job": "ownership-gateway", "$instance": ".*"}
    chosen |= {"$cluster": ".*", "$namespace": ".*"}  # what "All" stands for: labels that are not there match, too
    for name, value in chosen.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def _by_title(panel: dict[str, Any]) -> str:
    title: str = panel["title"]
    return title


@pytest.mark.parametrize("expression", _QUERIES)
def test_has_data(monitored: Scene, expression: str) -> None:
    """Every query of every panel yields numbers for a gateway that is asked; a rate of zero is one."""
    left = max(_LEAST_SECONDS, _FIRST_DATA_SECONDS - monitored.age_seconds)
    until(lambda: monitored.query(_as_asked(expression)), seconds=left)


@pytest.mark.parametrize("name", ["job", "instance"])
def test_variable_has_values(monitored: Scene, name: str) -> None:
    """Each variable's choices are found where the gateway is scraped."""
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", _VARIABLES[name]["query"]["query"])

    assert found is not None
    until(lambda: monitored.query(f"count by ({found[2]}) ({_as_asked(found[1])})"))
    assert found[2] == name


def test_annotations_can_be_asked_for(monitored: Scene) -> None:
    """Starts are asked for in a form that Prometheus takes; while nothing starts there are none."""
    expressions = [one["expr"] for one in _DASHBOARD["annotations"]["list"] if "expr" in one]

    assert len([monitored.query(_as_asked(expression)) for expression in expressions]) == 1


@pytest.mark.parametrize("panel", _PANELS, ids=_by_title)
def test_explains_itself(panel: dict[str, Any]) -> None:
    """A panel says what it shows and in which unit."""
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]


def test_titles_are_different() -> None:
    """No two panels are called the same."""
    titles = [panel["title"] for panel in _PANELS]

    assert len(set(titles)) == len(titles)


def test_ids_are_different() -> None:
    """Grafana identifies panels by their number."""
    numbers = [panel["id"] for panel in _ALL]

    assert len(set(numbers)) == len(numbers)


def test_nothing_overlaps() -> None:
    """Every panel has its own place, on a grid 24 columns wide."""
    places = [panel["gridPos"] for panel in _ALL]

    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


@pytest.mark.parametrize("panel", _PANELS, ids=_by_title)
def test_asks_the_prometheus_that_was_chosen(panel: dict[str, Any]) -> None:
    """No panel is tied to one installation."""
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]

    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


@pytest.mark.parametrize("expression", _QUERIES)
def test_asks_about_the_gateways_that_were_chosen(expression: str) -> None:
    """Every metric is narrowed by all variables, but for alerts: one of them is about there being no gateway."""
    selectors = re.findall(r"\{([^{}]*)\}", expression)

    chosen = 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job", instance=~"$instance"'
    assert selectors
    for selector in selectors:
        assert 'alertname=~"OwnershipGateway.*"' in selector or chosen in selector


@pytest.mark.parametrize("expression", _QUERIES)
def test_asks_for_what_there_is(expression: str) -> None:
    """A panel reads metrics and label values that the gateway has."""
    shown = exposed()

    for name in re.findall(r"(?:ownership_gateway|process|python)_\w+", expression):
        assert re.search(rf"^{name}[ {{]", shown, re.MULTILINE), name
    for label, values in re.findall(r'(\w+)!?=~?"([^"$]*)"', expression):
        if label in {"alertname", "alertstate"}:
            continue
        for value in values.split("|"):
            assert re.search(rf'{label}="{value}"', shown), (label, value)


def test_leaves_nothing_out() -> None:
    """Each metric of the gateway's own is on some panel, so that those of which alerts speak can be seen."""
    shown = "".join(query.values[0] for query in _QUERIES if isinstance(query.values[0], str))

    kinds = dict(re.findall(r"^# TYPE (ownership_gateway_\w+) (\w+)$", exposed(), re.MULTILINE))
    assert {name for name in kinds if name not in shown} == UNSHOWN


def test_the_table_is_shown_against_its_room() -> None:
    """The number that the panel names is that of the gateway."""
    [panel] = [one for one in _PANELS if one["title"] == "Replicated table"]

    assert f"of {MOST_ENTRIES:,} of each kind".replace(",", " ") in panel["description"]


def test_overrides_are_shown_against_their_room() -> None:
    """The number that the panel names is that of the gateway."""
    [panel] = [one for one in _PANELS if one["title"] == "Overrides"]

    assert f"At most {MOST_OVERRIDES:,} for each game".replace(",", " ") in panel["description"]


def test_variables() -> None:
    """Prometheus, cluster, namespace, job and gateway can be chosen; without a cluster or namespace all are shown."""
    assert list(_VARIABLES) == ["datasource", "cluster", "namespace", "job", "instance"]
    assert [_VARIABLES[name]["allValue"] for name in ("cluster", "namespace")] == [".*", ".*"]


def test_choices_narrow_each_other() -> None:
    """Each variable offers what there is in those before it."""
    chosen: list[str] = []
    for name in ("cluster", "namespace", "job"):
        query = _VARIABLES[name]["query"]["query"]
        assert re.findall(r"\$(\w+)", query) == chosen
        chosen.append(name)


def test_times_can_be_read_from_fractions_of_a_millisecond_to_seconds() -> None:
    """Answers from memory and those from itch.io are on one axis, which is logarithmic."""
    scales = {
        panel["title"]: panel["fieldConfig"]["defaults"]["custom"]["scaleDistribution"]["type"]
        for panel in _PANELS
        if panel["title"].startswith(("Time", "itch.io's time"))
    }

    assert len(scales) == 4
    assert set(scales.values()) == {"log"}
    assert [
        panel["title"] for panel in _PANELS if panel["title"] in scales and "min" in panel["fieldConfig"]["defaults"]
    ] == []


@pytest.mark.parametrize("expression", _QUERIES)
def test_many_games_make_few_lines(expression: str) -> None:
    """The ten largest are drawn of all games."""
    if "by (game" in expression and "count(" not in expression:
        assert expression.startswith(("topk(10, ", "sum(max by (game)"))


@pytest.mark.parametrize("title", ["Answers by outcome", "Outcomes by game"])
def test_an_outcome_has_its_colour(title: str) -> None:
    """A yes is green and no answer red, on each panel and in each game; no two outcomes look the same."""
    (panel,) = [one for one in _PANELS if one["title"] == title]
    before = "x-moon " if "game" in title else ""
    colours = {}
    for outcome in Outcome:
        matching = [
            override["properties"][0]["value"]["fixedColor"]
            for override in panel["fieldConfig"]["overrides"]
            if re.search(override["matcher"]["options"].strip("/"), f"{before}{outcome}")
        ]
        (colours[outcome],) = matching

    assert len(set(colours.values())) == len(Outcome)
    assert (colours[Outcome.OWNED], colours[Outcome.UNKNOWN]) == ("green", "red")


def test_is_new_enough_for_current_grafana() -> None:
    """The form is that of Grafana 12, which therefore has nothing to convert."""
    assert _DASHBOARD["schemaVersion"] == 41


def test_can_be_provisioned() -> None:
    """The dashboard has a name of its own for links, and no number, which differs in every installation."""
    assert _DASHBOARD["uid"] == "ownership-gateway"
    assert "id" not in _DASHBOARD
