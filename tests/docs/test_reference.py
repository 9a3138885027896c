"""The reference lists what the code has, all of it and nothing else."""

import ast
import re
from datetime import UTC, datetime
from typing import Final

import click
import msgspec
import pytest
from click.testing import CliRunner

from service.advice import Advice, advice_on
from service.api.admin import LONGEST_WORD, Invalidated, Invalidation, Revocations, RevocationsSet
from service.api.answers import Answer, NoAnswerProblem
from service.api.openapi import describe_api
from service.api.overrides import (
    LONGEST_NOTE,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    OverrideRequest,
    OverrideSet,
)
from service.api.paths import BATCH_PATH, OPERATIONS, PATHS, REDEEM_PATH, REVOCATIONS_PATH
from service.api.problem_meanings import PROBLEM_MEANINGS, REASON_MEANINGS
from service.api.problems import _HTTP, _OVER, PROBLEM_TYPES, Problem, status_reply
from service.api.questions import QUESTIONS
from service.cache.results import CacheOperation, CacheResult
from service.cache.shared_overrides import MOST_OVERRIDES
from service.canaries.canary import Expectation
from service.causes import Cause
from service.cli import main
from service.cli.exits import Exit
from service.key_use import KeyUse
from service.observability.challenge_reports import challenge_counts
from service.observability.issuer_metrics import issuer_keys_gauge
from service.observability.key_uses import KeyUses
from service.observability.labels import InvalidationKind, JoinScope, RefusalCause, SourceEndpoint, SourceResult
from service.observability.metrics import Metrics
from service.observability.redeem_reports import redeem_counts
from service.observability.verified_lines import VerifiedLine
from service.ownership import CacheTier, Caveat, Method, Outcome, Reason
from service.redeem.redeem_reason import RedeemReason
from service.rights import RIGHTS_FOR, Right
from service.settings import SettingDoc, documented_settings
from tests.docs.pages import all_text, blocks, calls, code, codes, section, source_trees, table, tables, text_of

_LEVELS: Final = ("debug", "info", "warning", "error")


def _setting_rows() -> dict[str, tuple[str, ...]]:
    """Return the row of each setting by its dotted key, or its variable where it has none."""
    rows = {}
    for found in tables(text_of("docs/configuration.md")):
        if found.header[0] == "variable":
            for row in found.rows:
                rows[code(row[1] if "`" in row[1] else row[0])] = row
    return rows


def _metrics() -> str:
    metrics = Metrics(games=["x-moon"], version="1.2.3", sandbox=False, off=())
    metrics.pass_minted("x-moon")
    KeyUses(metrics).count("x-moon", KeyUse.NEW)
    metrics.decision("x-moon", Method.JWT, Reason.PURCHASE, CacheTier.NONE, seconds=0)
    metrics.canary("x-moon", Expectation.OWNER, ok=True, checked_at=datetime.now(UTC))
    metrics.read_revocations("x-moon", lambda: True)
    metrics.trouble("redis", before=None, now=Cause.REFUSED)
    metrics.shared_refusals([CacheResult.STORED])
    issuer_keys_gauge(metrics).set(1, "1")
    challenge_counts(metrics)
    redeem_counts(metrics, RedeemReason)
    return metrics.render()[0].decode()


def _logged() -> dict[str, dict[str, set[str]]]:
    """Return the fields of every event by level and name, as the package logs them."""
    logged: dict[str, dict[str, set[str]]] = {}
    for level in _LEVELS:
        for call in calls(level):
            match call:
                case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="logger")), args=[ast.Constant(str(event))]):
                    fields = {str(keyword.arg) for keyword in call.keywords}
                    logged.setdefault(event, {}).setdefault(level, set()).update(fields)
    return logged


def _codes_in_source() -> set[str]:
    """Return every code that a problem can have, but for the reasons of `unknown`."""
    found = {code for code, _ in (*_HTTP.values(), *_OVER.values())}
    found.add(msgspec.json.decode(status_reply(500, request_id="1").body)["code"])
    for call in (*calls("BadQuestion"), *calls("problem_reply")):
        if isinstance(second := call.args[1], ast.Constant):
            found.add(str(second.value))
    return found


def _without_links(text: str) -> str:
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)


@pytest.mark.parametrize("setting", documented_settings(), ids=lambda setting: setting.toml or setting.env)
def test_setting(setting: SettingDoc) -> None:
    """Every setting is in the configuration reference with its variable, its default and what it may be."""
    row = _setting_rows()[setting.toml or str(setting.env)]

    assert row[:4] == (
        f"`{setting.env}`" if setting.env else "only in the file",
        f"`{setting.toml}`" if setting.toml else "only here",
        f"`{setting.default}`",
        setting.type,
    )


def test_no_other_settings() -> None:
    """The configuration reference has no setting that does not exist."""
    assert len(_setting_rows()) == len(documented_settings())


def test_no_other_variables() -> None:
    """No page names a variable of ours that does not exist, but for the mistake that is shown as one."""
    mentioned = set(re.findall(r"OWNERSHIP_GATEWAY_[A-Z][A-Z0-9_]*", all_text()))

    assert mentioned - {setting.env for setting in documented_settings()} == {"OWNERSHIP_GATEWAY_PROT"}


def test_metrics() -> None:
    """Every metric is documented with its kind and labels, and no other is."""
    text = _metrics()
    kinds = dict(re.findall(r"^# TYPE (ownership_gateway_\w+) (\w+)$", text, re.MULTILINE))
    labels: dict[str, set[str]] = {name: set() for name in kinds}
    for name, given in re.findall(r"^(ownership_gateway_\w+)\{(.*)\} ", text, re.MULTILINE):
        family = name if name in kinds else re.sub("_(bucket|count|sum)$", "", name)
        labels[family] |= set(re.findall(r'(\w+)="', given)) - {"le"}
    documented = table("docs/operations.md", "Metrics", first="metric").rows

    assert {(code(row[0]), row[1], frozenset(codes(row[2]))) for row in documented} == {
        (name, kind, frozenset(labels[name])) for name, kind in kinds.items()
    }


def test_no_other_metrics() -> None:
    """No page names a metric that does not exist."""
    mentioned = set(re.findall(r"ownership_gateway_[a-z_]+", all_text()))

    assert mentioned <= set(re.findall(r"^# TYPE (\w+) ", _metrics(), re.MULTILINE))


def test_label_values() -> None:
    """Every value that a label can have is explained."""
    documented = next(found for found in tables(text_of("docs/operations.md")) if found.header[0] == "label")
    values = {value for row in documented.rows for value in codes(row[1])}

    assert values == {
        *SourceResult,
        *RefusalCause,
        *CacheOperation,
        *CacheResult,
        *InvalidationKind,
        *(tier for tier in CacheTier if tier is not CacheTier.NONE),
    }


@pytest.mark.parametrize("value", [*SourceEndpoint, *JoinScope, *Expectation])
def test_other_label_values(value: str) -> None:
    """The values that are listed in a sentence are all there."""
    assert f"`{value}`" in section("docs/operations.md", "Metrics")


def test_log_events() -> None:
    """Every event that is logged is documented with its level and fields, and no other is."""
    logged = {
        (event, level): {"exception" if field == "exc_info" else field for field in fields}
        for event, levels in _logged().items()
        for level, fields in levels.items()
    }
    logged["verified", "info"] = set(VerifiedLine.__struct_fields__)
    logged["log_lines_dropped", "warning"] = {"count"}
    documented = table("docs/operations.md", "Logs", first="event").rows

    assert {(code(row[0]), row[1]): set(codes(row[2])) for row in documented} == logged


@pytest.mark.parametrize("event", ["verified", "log_lines_dropped"])
def test_events_that_take_another_way(event: str) -> None:
    """The two events that are not logged through the logger are still called so."""
    said = {
        value.value
        for tree in source_trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "event" and isinstance(value, ast.Constant)
    }

    assert event in said


def test_reasons() -> None:
    """Every reason is documented with its outcome and advice, and no other is."""
    documented = table("docs/api.md", "Reasons", first="reason").rows

    assert [(code(row[0]), code(row[1]), codes(row[3])) for row in documented] == [
        (reason, reason.outcome, _shown(advice_on(reason, ()))) for reason in Reason
    ]


def _shown(advice: Advice | None) -> list[str]:
    return [] if advice is None else [advice]


def test_advice() -> None:
    """Every advice is documented, and no other is."""
    assert [code(row[0]) for row in table("docs/api.md", "Advice", first="advice").rows] == list(Advice)


def test_outcomes() -> None:
    """Every outcome is documented with its status, and no other is."""
    documented = table("docs/api.md", "Outcomes", first="outcome").rows

    assert {code(row[0]): row[1] for row in documented} == {
        outcome: "503" if outcome is Outcome.UNKNOWN else "200" for outcome in Outcome
    }


def test_outcomes_in_readme() -> None:
    """The README lists every outcome with `allowed` and all of its reasons."""
    documented = table("README.md", "The API on one page", first="outcome").rows

    assert {code(row[0]): (code(row[2]), codes(row[3])) for row in documented} == {
        outcome: (str(outcome.allowed).lower(), [reason for reason in Reason if reason.outcome is outcome])
        for outcome in Outcome
    }


def test_caveats() -> None:
    """Every caveat is documented with its advice, and no other is."""
    documented = table("docs/api.md", "Caveats", first="caveat").rows

    assert [(code(row[0]), codes(row[3])) for row in documented] == [
        (caveat, _shown(advice_on(Reason.NO_DOWNLOAD_KEY, (caveat,)))) for caveat in Caveat
    ]


def test_problem_codes() -> None:
    """Every code that a problem can have is explained under its name, and no other is."""
    documented = [code(row[0]) for row in table("docs/api.md", "Errors", first="code").rows]

    assert len(documented) == len(set(documented))
    assert set(documented) == _codes_in_source()


def test_codes_of_unknown() -> None:
    """The codes of a 503 are listed: they are the reasons of `unknown`."""
    listed = codes(section("docs/api.md", "503: a problem and a decision in one"))

    assert {reason for reason in Reason if reason.outcome is Outcome.UNKNOWN} <= set(listed)


def test_problem_types() -> None:
    """The documented beginning of a problem's type is the one that is sent."""
    assert f"`{PROBLEM_TYPES}`" in section("docs/api.md", "Errors")


def test_meanings_of_codes() -> None:
    """The page at `/docs` gives each code the meaning that the reference gives it."""
    documented = {code(row[0]): _without_links(row[2]) for row in table("docs/api.md", "Errors", first="code").rows}

    assert documented == PROBLEM_MEANINGS


def test_meanings_of_reasons() -> None:
    """So it does with each reason that does not let a player in."""
    rows = table("docs/api.md", "Reasons", first="reason").rows
    documented = {code(row[0]): _without_links(row[2]) for row in rows if code(row[1]) not in {"owned", "granted"}}

    assert documented == REASON_MEANINGS


def test_fields_of_answers() -> None:
    """Every field of an answer is documented, and no other is."""
    documented = [code(row[0]) for row in table("docs/api.md", "Answers", first="field").rows]

    assert documented == list(Answer.__struct_fields__)


@pytest.mark.parametrize("field", [*Problem.__struct_fields__, *NoAnswerProblem.__struct_fields__])
def test_fields_of_problems(field: str) -> None:
    """Every field of a problem is named where problems are explained."""
    assert f"`{field}`" in section("docs/api.md", "Errors") + section(
        "docs/api.md", "503: a problem and a decision in one"
    )


def test_fields_of_questions() -> None:
    """Every field that a question can have is documented, and no other is."""
    own = table("docs/api.md", "Questions", first="endpoint")
    common = table("docs/api.md", "Questions", first="common field")
    documented = {name for row in own.rows for name in codes(row[1])} | {code(row[0]) for row in common.rows}
    fields = {field for question in QUESTIONS.values() for field in question.__struct_encode_fields__}

    assert documented == fields


def test_fields_of_invalidations() -> None:
    """Every field of what is to be forgotten is documented, and no other is."""
    listed = table("docs/api.md", "Having it forget", first="field")

    assert {code(row[0]) for row in listed.rows} == set(Invalidation.__struct_fields__)


def test_answer_to_an_invalidation() -> None:
    """The answer that is shown has the fields that are sent."""
    (shown,) = (one for one in map(msgspec.json.decode, blocks("docs/api.md", "json")) if "before" in one)

    assert list(shown) == list(Invalidated.__struct_fields__)
    assert isinstance(msgspec.convert(shown, Invalidated), Invalidated)


def test_fields_of_words_about_revocations() -> None:
    """Every field of a word about revocations is documented, the longest time that it holds too, and no other is."""
    listed = table("docs/api.md", "Having it believe", first="field")

    assert [code(row[0]) for row in listed.rows] == list(Revocations.__struct_fields__)
    assert listed.rows[-1][1] == f"60 to {LONGEST_WORD}"


def test_answer_to_a_word_about_revocations() -> None:
    """The answer that is shown has the fields that are sent."""
    (shown,) = (one for one in map(msgspec.json.decode, blocks("docs/api.md", "json")) if "believe" in one)

    assert list(shown) == list(RevocationsSet.__struct_fields__)
    assert isinstance(msgspec.convert(shown, RevocationsSet), RevocationsSet)


def test_fields_of_overrides() -> None:
    """Every field of an override to be set is documented, its bounds too, and no other is."""
    listed = table("docs/api.md", "Overrides", first="field")

    assert {code(row[0]) for row in listed.rows} == set(OverrideRequest.__struct_fields__)
    assert f"{SHORTEST_SECONDS} to {LONGEST_SECONDS}" in [row[1] for row in listed.rows]
    assert f"up to {LONGEST_NOTE} printable" in listed.rows[-1][2]
    assert f"has {MOST_OVERRIDES} overrides" in section("docs/api.md", "Errors")


def test_answer_to_an_override() -> None:
    """The answer that is shown has the fields that are sent."""
    (shown,) = (one for one in map(msgspec.json.decode, blocks("docs/api.md", "json")) if "replicas" in one)

    assert list(shown) == list(OverrideSet.__struct_fields__)
    assert isinstance(msgspec.convert(shown, OverrideSet), OverrideSet)


def test_words_about_revocations_for_the_terminal() -> None:
    """The commands of the runbook go to the endpoint, and send what it takes: one word of each kind."""
    (commands,) = blocks("docs/operations.md", "sh")
    sent = re.findall(r"-d '(.*)'$", commands, re.MULTILINE)

    assert commands.count(REVOCATIONS_PATH) == len(sent)
    assert {msgspec.json.decode(body, type=Revocations).believe for body in sent} == {True, False}


def test_endpoints_in_readme() -> None:
    """The README lists every endpoint of the description."""
    listed = table("README.md", "The API on one page", first="endpoint")
    description = msgspec.json.decode(describe_api())

    assert {path for row in listed.rows for path in re.findall(r"/[a-z/.{}-]+", row[0])} == set(description["paths"])


def test_every_method_is_described() -> None:
    """The description of the API has an endpoint for each method."""
    assert set(PATHS.values()) <= set(msgspec.json.decode(describe_api())["paths"])


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_rights_of_endpoints(page: str) -> None:
    """Every way of asking is listed with the rights that it needs."""
    listed = table(page, "The API on one page" if page == "README.md" else "Questions", first="endpoint")
    rights = {code(row[0]): tuple(codes(row[2])) for row in listed.rows if "POST /verify" in row[0]}
    needed = {f"POST {path}": RIGHTS_FOR[method] for method, path in PATHS.items()}
    if page == "README.md":  # in docs/api.md it has a section of its own: it is no question about a player
        needed[f"POST {REDEEM_PATH}"] = (Right.VERIFY,)

    assert rights.pop(f"POST {BATCH_PATH}", (Right.VERIFY,)) == (Right.VERIFY,)
    assert rights == needed


def test_rights() -> None:
    """Every right is documented, and no other is."""
    listed = table("docs/api.md", "Callers, rights and rates", first="right")

    assert [code(row[0]) for row in listed.rows] == list(Right)


def test_operational_endpoints() -> None:
    """Every operational endpoint is documented, and no other is."""
    listed = table("docs/api.md", "Operational endpoints", first="endpoint")

    assert {code(row[0]).removeprefix("GET ") for row in listed.rows} == {*OPERATIONS, "/openapi.json"}


def test_commands() -> None:
    """Every command is documented, and no other is."""
    listed = table("docs/configuration.md", "Command line", first="command")
    commands = main.list_commands(click.Context(main))

    assert sorted(code(row[0]).removeprefix("ownership-gateway ") for row in listed.rows) == sorted(commands)


@pytest.mark.parametrize("name", main.list_commands(click.Context(main)))
def test_command(name: str) -> None:
    """A command is documented with all of its options and with how it can end."""
    rows = table("docs/configuration.md", "Command line", first="command").rows
    options, ends = next((row[1], row[3]) for row in rows if code(row[0]) == f"ownership-gateway {name}")
    command = main.get_command(click.Context(main), name)
    help_text = CliRunner().invoke(main, [name, "--help"]).output

    assert command is not None
    parts = command.commands.values() if isinstance(command, click.Group) else [command]
    parameters = [parameter for part in parts for parameter in part.params if isinstance(parameter, click.Option)]
    assert codes(options) == list(dict.fromkeys(parameter.opts[0] for parameter in parameters))
    assert {*map(int, ends.split(", ")), Exit.USAGE, Exit.INTERRUPTED} == {
        int(found) for found in re.findall(r"^ +(\d+)  ", help_text, re.MULTILINE)
    }


def test_no_other_commands() -> None:
    """No page names a command that does not exist."""
    mentioned = set(re.findall(r"(?:`|bin/|^\$ .*)ownership-gateway ([a-z][a-z-]*)", all_text(), re.MULTILINE))

    assert mentioned <= set(main.list_commands(click.Context(main)))


def test_exit_codes() -> None:
    """Every exit code is documented, and no other is."""
    listed = table("docs/configuration.md", "Command line", first="exit code")

    assert [int(row[0]) for row in listed.rows] == list(Exit)
