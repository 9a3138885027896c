"""A record: the answers of stores as they are written to a file, and the findings about them."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from service.cli.findings import Finding, FindingLevel
from service.cli.recording.differences import Api, differences, json_in
from service.cli.recording.exchange import Exchange
from service.cli.recording.shape import Shape, counted, shape_of
from service.cli.recording.words import shown_media_type
from service.errors import NoAnswer
from service.retry_after import read_http_date, read_retry_after
from service.stores.answer import StoreAnswer

ABOUT: Final = (
    "The form of a store's answers, written by `ownership-gateway doctor --record`: kinds, lengths, days, statuses, and"
    " words from the gateway's own list. Read it before you send it to anybody."
)

_LONGEST_WAIT: Final = timedelta(days=1)
"""A longer one is no wait, but could be any number."""


class RecordedAnswer(Struct, frozen=True, omit_defaults=True):
    """One question and the form of its answer; without a status there was none."""

    asked: str
    with_credential: str
    parameters: tuple[str, ...]
    status: int | None = None
    content_type: str | None = None
    date: datetime | None = None
    retry_after_seconds: int | None = None
    bytes: int | None = None
    body: "Shape | None" = None
    no_answer: str | None = None
    differences: tuple[str, ...] = ()


class StoreRecord(Struct, frozen=True):
    """The answers of one store. `usual_address` is false for a stand-in, or a proxy that is asked in its place."""

    store: str
    api: str
    usual_address: bool
    sandbox: bool
    credential: "Shape | None"
    answers: Sequence[RecordedAnswer]
    notes: Sequence[str]


class Record(Struct, frozen=True):
    """A whole file."""

    about: str
    version: str
    recorded_at: datetime
    stores: Sequence[StoreRecord]


class Step(Struct, frozen=True):
    """One of the gateway's own questions: what was asked and answered for it, and why that did not do."""

    exchanges: Sequence[Exchange]
    no_answer: NoAnswer | None = None


def recorded(steps: Sequence[Step], api: Api, now: datetime) -> list[RecordedAnswer]:
    """Return the form of each answer, beside what is expected. It is the last answer of a step that did not do."""
    return [
        _recorded(exchange, api, now, step.no_answer if exchange is step.exchanges[-1] else None)
        for step in steps
        for exchange in step.exchanges
    ]


def findings_of(record: StoreRecord) -> Iterator[Finding]:
    """Return a finding for each answer, and for each of the record's notes."""
    for answer in record.answers:
        check = f"{record.store} {answer.asked} ({answer.with_credential})"
        if answer.no_answer is not None:
            yield Finding(
                check, FindingLevel.PROBLEM, "; ".join([answer.no_answer, *_said(answer), *answer.differences])
            )
        elif answer.differences:
            yield Finding(check, FindingLevel.WARNING, "; ".join([*_said(answer), *answer.differences]))
        else:
            yield Finding(check, FindingLevel.OK, "; ".join(["as the gateway expects", *_said(answer)]))
    for note in record.notes:
        yield Finding(record.store, FindingLevel.WARNING, note)


def _said(answer: RecordedAnswer) -> Iterator[str]:
    """Yield the words of a refusal, as far as they are shown."""
    match answer.body:
        case {"errors": {"shapes": [*shapes]}}:
            yield f"it says {', '.join(f'`{one}`' for one in shapes if isinstance(one, str))}"


def _recorded(exchange: Exchange, api: Api, now: datetime, no_answer: NoAnswer | None) -> RecordedAnswer:
    why = None if no_answer is None else _told(no_answer)
    answer = exchange.answer
    if answer is None:
        return RecordedAnswer(
            asked=exchange.path,
            with_credential=exchange.credential,
            parameters=exchange.parameters,
            no_answer=why,
        )
    date = read_http_date(answer.date)
    wait = read_retry_after(answer.retry_after, now=date or now)
    return RecordedAnswer(
        asked=exchange.path,
        with_credential=exchange.credential,
        parameters=exchange.parameters,
        status=answer.status,
        content_type=shown_media_type(answer.content_type),
        date=date,
        retry_after_seconds=None if wait is None or wait > _LONGEST_WAIT else int(wait.total_seconds()),
        bytes=len(answer.body),
        body=_body(answer),
        no_answer=why,
        differences=tuple(differences(answer, exchange.endpoint, api)),
    )


def _told(no_answer: NoAnswer) -> str:
    cause = "" if no_answer.cause is None else f" ({no_answer.cause})"
    return f"the gateway cannot use it: {no_answer.detail or no_answer.reason.value}{cause}"


def _body(answer: StoreAnswer) -> Shape:
    body = json_in(answer)
    if body is None:
        kind = "a web page" if answer.body.lstrip()[:1] == b"<" else "no JSON"
        return f"{kind} of {counted(len(answer.body), 'byte')}"
    return shape_of(body)
