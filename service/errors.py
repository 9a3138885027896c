"""Failures, as types: "they said no" is never among them, it is an observation or a decision.

GatewayError
├── SettingsError               the configuration cannot be used; one line a mistake
├── NoAnswer                    there is no usable answer: always the outcome `unknown`
│   ├── SourceUnavailable       itch.io cannot be reached, is broken, or shows a challenge page
│   │   ├── GatewayInTheWay     the gateway's own trouble kept it from asking
│   │   └── HubSilent           the hub of a relay says nothing
│   ├── SourceRateLimited       itch.io is throttling us
│   ├── SourceProtocolError     itch.io answered, but not a thing we may build on
│   ├── GatewayCredentialRefused  itch.io refuses our own key
│   ├── GameNotAccessible       our key cannot see the game
│   ├── NotCached               the caller allowed no look-up and nothing is known
│   ├── DeadlineExceeded        the caller's time is up
│   ├── Overloaded              the store budget has no room within the caller's time
│   └── IssuerUnavailable       there are no keys to check an id token with
└── QuestionRefused             the caller is at fault
    ├── BadQuestion             the body is not a question
    ├── UnknownGame             no such game is configured
    ├── NotEnabled              what is asked for is off
    ├── NotAuthenticated        no caller token, or not one of ours
    ├── NotPermitted            the caller lacks the right or the game
    ├── TooManyQuestions        the caller is over its rate
    ├── UnknownChannel          no such channel is configured for the game
    ├── UnknownDecision         no decision of that id is remembered
    ├── UnknownOverride         there is no such override
    ├── TooManyOverrides        the game has as many overrides as it may have
    ├── ProxyRefused            a proxy asks that is not known, or by a policy that is not its own
    └── NoCredential            a player comes to a proxy without the one credential that is demanded
"""

from datetime import timedelta
from typing import ClassVar

from service.causes import Cause
from service.ownership import Reason


class GatewayError(Exception):
    """The root of everything the gateway itself raises."""


class SettingsError(GatewayError):
    """The configuration cannot be used; `mistakes` holds one readable line each, without secret values."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class NoAnswer(GatewayError):  # noqa: N818 - it names an outcome; that the store gives no answer is no error of ours
    """The store gave no usable answer. `retry_after` is when asking again makes sense, where that is known.

    `cause` is the store's, or that of the way to it; None where the store has no part in it.
    """

    reason: ClassVar[Reason]
    usual_cause: ClassVar[Cause | None] = None

    def __init__(self, detail: str = "", *, retry_after: timedelta | None = None, cause: Cause | None = None) -> None:
        super().__init__(detail or self.reason.value)
        self.detail = detail
        self.retry_after = retry_after
        self.cause = cause or self.usual_cause


class SourceUnavailable(NoAnswer):
    """The store cannot be reached, is broken, or shows a challenge page."""

    reason = Reason.SOURCE_UNAVAILABLE
    usual_cause = Cause.OTHER


class GatewayInTheWay(SourceUnavailable):
    """The gateway's own trouble kept it from asking, or from hearing the answer; it says nothing about the store."""


class HubSilent(SourceUnavailable):
    """The hub of a relay cannot be reached, or says nothing; what it says about the store is not this."""


class SourceRateLimited(NoAnswer):
    """The store is throttling us, or has named a time to come back that has not come yet."""

    reason = Reason.SOURCE_RATE_LIMITED
    usual_cause = Cause.THROTTLED


class SourceProtocolError(NoAnswer):
    """The store answered, but not a thing that a decision may be built on."""

    reason = Reason.SOURCE_PROTOCOL
    usual_cause = Cause.PROTOCOL


class GatewayCredentialRefused(NoAnswer):
    """The store refuses our own key: revoked, wrong, or without the scope."""

    reason = Reason.GATEWAY_CREDENTIAL
    usual_cause = Cause.AUTH


class GameNotAccessible(NoAnswer):
    """Our key cannot see the game."""

    reason = Reason.GAME_NOT_ACCESSIBLE
    usual_cause = Cause.FORBIDDEN


class NotCached(NoAnswer):
    """The caller allowed no look-up and nothing fresh enough is known."""

    reason = Reason.NOT_CACHED


class DeadlineExceeded(NoAnswer):
    """The caller's time was up before the store had answered."""

    reason = Reason.DEADLINE_EXCEEDED


class Overloaded(NoAnswer):
    """More is asked than the store budget allows in the caller's time."""

    reason = Reason.OVERLOADED


class IssuerUnavailable(NoAnswer):
    """The issuer of an id token gives no keys to check it with, and gave none lately."""

    reason = Reason.ISSUER_UNAVAILABLE


class QuestionRefused(GatewayError):  # noqa: N818 - the caller's fault, named as what happened to it
    """The caller is at fault; what the player owns was not looked at."""


class BadQuestion(QuestionRefused):
    """The body is no question. `pointer` (RFC 6901) says where, `code` what; never the value itself."""

    def __init__(self, pointer: str, code: str, detail: str) -> None:
        super().__init__(f"{pointer or '/'}: {code}")
        self.pointer = pointer
        self.code = code
        self.detail = detail


class UnknownGame(QuestionRefused):
    """No such game is configured here; `hint` says what could be asked about instead."""

    def __init__(self, hint: str) -> None:
        super().__init__(hint)
        self.hint = hint


class NotEnabled(QuestionRefused):
    """A part of the gateway that is off until the operator configures it was asked for; `setting` turns it on."""

    def __init__(self, setting: str) -> None:
        super().__init__(setting)
        self.setting = setting


class NotAuthenticated(QuestionRefused):
    """No caller token, or none that this gateway knows; `hint` says what is wrong with the form of the header."""

    def __init__(self, hint: str = "") -> None:
        super().__init__(hint or "no caller token that is known")
        self.hint = hint


class NotPermitted(QuestionRefused):
    """The caller is known, but lacks the right or the game; `lacking` names which."""

    def __init__(self, lacking: str) -> None:
        super().__init__(f"the caller lacks {lacking}")
        self.lacking = lacking


class TooManyQuestions(QuestionRefused):
    """The caller is over a limit of its own; `limit` names which."""

    def __init__(self, limit: str, *, retry_after: timedelta) -> None:
        super().__init__(f"the caller is over its limit: {limit}")
        self.limit = limit
        self.retry_after = retry_after


class UnknownChannel(QuestionRefused):
    """The game has no such channel in the configuration."""

    def __init__(self) -> None:
        super().__init__("no such channel is configured for the game")


class UnknownDecision(QuestionRefused):
    """No decision of that id is remembered, or none any more."""

    def __init__(self) -> None:
        super().__init__("no such decision is remembered")


class UnknownOverride(QuestionRefused):
    """There is no override of that id, or none any more."""

    def __init__(self) -> None:
        super().__init__("there is no such override")


class TooManyOverrides(QuestionRefused):
    """The game has as many overrides as it may have."""

    def __init__(self) -> None:
        super().__init__("the game has as many overrides as it may have")


class ProxyRefused(QuestionRefused):
    """A proxy asks that is not known, or by a policy that is not its own; `why` is for the log alone."""

    def __init__(self, why: str) -> None:
        super().__init__(why)


class NoCredential(QuestionRefused):
    """A player comes to a proxy without the one credential that the policy demands; `hint` says which are taken."""

    def __init__(self, hint: str) -> None:
        super().__init__("no credential that the policy takes, or more than one")
        self.hint = hint
