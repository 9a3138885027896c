"""Decisions in sentences for people: what one means, how old its grounds are, and what the player can do.

`verify`, `why`, `/admin/explain` and the console all take theirs from here. The sentences are English, name no player
and no credential, and may change; programs go by reason, caveats and advice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct

from service.causes import Cause
from service.ownership import Advice, Caveat, OverrideWord, ProofKind, Reason, advice_on


class Story(Struct, frozen=True, kw_only=True):
    """All that sentences about a decision are made of. `now` is when they are read; instants are in UTC.

    `cause` is why the store gave no answer, where it gave none. `asked` is false for a look at what is known,
    for which the store is left alone.
    """

    reason: Reason
    now: datetime
    caveats: tuple[Caveat, ...] = ()
    observed_at: datetime | None = None
    usable_until: datetime | None = None
    stale: bool = False
    cause: Cause | None = None
    count: int = 1
    asked: bool = True

    @property
    def finds_nothing(self) -> bool:
        """Whether a look has found nothing, which is no trouble of the store's."""
        return self.reason is Reason.NOT_CACHED and not self.asked


class ShownProof(Protocol):
    """A proof of ownership, as the store shows it or as an answer has it."""

    @property
    def kind(self) -> ProofKind:
        """The kind of proof."""

    @property
    def id(self) -> int | None:
        """The store's number of it, where it has one."""


def tell(story: Story) -> list[str]:
    """Return the sentences, the most important first."""
    told = [_NOTHING_KNOWN if story.finds_nothing else _MEANING[story.reason]]
    if story.cause is not None and story.reason in _WITHOUT_ANSWER:
        told.append(f"The cause: {_CAUSES[story.cause]}.")
    if story.observed_at is not None:
        told.append(f"itch.io was asked {age_in_words(story.now - story.observed_at)}.")
    if story.stale:
        told.append("This rests on what itch.io said before.")
    if story.reason in _OPERATORS and story.usable_until is not None:
        told.append(f"The operator's word holds until {_instant(story.usable_until)}.")
    if story.count > 1:
        told.append(f"The question was asked {story.count} times within a minute.")
    told += [_CAVEATS[caveat] for caveat in story.caveats if caveat in _CAVEATS]
    if story.finds_nothing:
        told.append(_ASK_NOW)
    elif (step := next_step(story)) is not None:
        told.append(step)
    return told


def next_step(story: Story) -> str | None:
    """Return in a sentence what the player can do; None for one who is let in, and where a look has found nothing."""
    if story.reason.outcome.allowed or story.finds_nothing:
        return None
    advice = advice_on(story.reason, story.caveats)
    return _NO_ADVICE.get(story.reason, _NOTHING_TO_DO) if advice is None else _ADVICE[advice]


def meaning_of(reason: Reason) -> str:
    """Return the sentence for a reason."""
    return _MEANING[reason]


def tell_states(components: Mapping[str, str], causes: Mapping[str, Cause]) -> dict[str, str]:
    """Return a sentence by each component, in the words of `/readyz`, that does not work."""
    told = {}
    for component, state in components.items():
        sentence = _STATES.get((component, state))
        if sentence is not None:
            cause = causes.get(component)
            told[component] = sentence + ("." if cause is None else f": {_CAUSES[cause]}.")
    return told


def tell_operator(word: OverrideWord, until: datetime | None) -> str:
    """Return the operator's word about the player as a sentence; without an end it stands in the configuration."""
    does = "lets this player in" if word is OverrideWord.GRANT else "keeps this player out"
    return f"The configuration {does}." if until is None else f"An override {does} until {_instant(until)}."


def tell_request(endpoint: str, result: str, proofs: Sequence[ShownProof] = ()) -> str:
    """Return a request to the store, in the words of the metrics, and the proofs that it showed as a sentence."""
    shown = f" with {_listed(proofs)}" if proofs else ""
    return f"itch.io was asked now about {_ASKED_ABOUT[endpoint]}: {_RESULTS[result]}{shown}."


def tell_remembered(
    tier: str, about: str, says: str, age: timedelta, *, counts: bool, proofs: Sequence[ShownProof] = ()
) -> str:
    """Return what a tier remembers about ownership, or about whose a JWT is, as a line."""
    whose = f"{_ASKED_ABOUT['profile']}: " if about == "identity" else ""
    shown = f", by {_listed(proofs)}" if proofs else ""
    past = "" if counts else ", which does not count any more"
    return f"{tier}: {whose}{says}{shown}, {age_in_words(age)}{past}"


def tell_refusal(decision_id: str, at: datetime, method: str, reason: str, count: int) -> str:
    """Return a refusal as a line."""
    times = "" if count == 1 else f", {count} times"
    return f"{decision_id}  {_instant(at)}  {reason} by {method}{times}"


def age_in_words(age: timedelta) -> str:
    """Return how long ago something was, as people say it."""
    seconds = int(age.total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length or (seconds >= length and unit != "day"):
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now" if seconds < _JUST_NOW else f"{seconds} seconds ago"


_JUST_NOW: Final = 5
_NOTHING_KNOWN: Final = "Nothing is known: itch.io has not been asked about this lately."
_ASK_NOW: Final = "Ask itch.io now to find out."
_WITHOUT_ANSWER: Final = (
    Reason.SOURCE_UNAVAILABLE,
    Reason.SOURCE_RATE_LIMITED,
    Reason.SOURCE_PROTOCOL,
    Reason.DEADLINE_EXCEEDED,
)
"""The reasons that a trouble with the store may have led to."""

_OPERATORS: Final = (Reason.OPERATOR_GRANT, Reason.OPERATOR_BAN)


def _listed(proofs: Sequence[ShownProof]) -> str:
    kinds = [one.kind.replace("_", " ") + ("" if one.id is None else f" {one.id}") for one in proofs]
    return " and ".join(kinds)


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


_MEANING: Final[Mapping[Reason, str]] = {
    Reason.DOWNLOAD_KEY: "Let in: itch.io knows a download key of this game for this player.",
    Reason.PURCHASE: "Let in: itch.io knows a purchase of this game by this player.",
    Reason.BUNDLE_PURCHASE: "Let in: itch.io knows that this player bought a bundle with this game.",
    Reason.WEB_PURCHASE: "Let in: itch.io knows a payment of this player for this game.",
    Reason.SELLER_ACCOUNT: "Let in: this is the account that sells the game.",
    Reason.OPERATOR_GRANT: "Let in: the operator has said so.",
    Reason.PRESS: "Let in: this is one of itch.io's press accounts.",
    Reason.OPERATOR_BAN: "Not let in: the operator keeps this player out.",
    Reason.INVALID_DOWNLOAD_KEY: (
        "Not let in: itch.io knows no such download key of this game, or it was revoked, or is another game's."
    ),
    Reason.NO_DOWNLOAD_KEY: "Not let in: itch.io knows neither a key nor a purchase that counts for this game.",
    Reason.MALFORMED_DOWNLOAD_KEY: "Not let in: what the player entered is no download key.",
    Reason.TEMPORARY_DOWNLOAD_LINK: "Not let in: the player entered a download link that ends soon, not the key.",
    Reason.BUNDLE_LINK: "Not let in: the player entered the link of a whole bundle, not that of this game.",
    Reason.MALFORMED_JWT: "Not let in: what the game sent as its proof from the itch.io app is none.",
    Reason.EXPIRED_JWT: "Not let in: the game's proof from the itch.io app has run out.",
    Reason.REFUSED_JWT: "Not let in: itch.io does not accept the game's proof from the itch.io app.",
    Reason.API_KEY_NOT_ACCEPTED: "Not let in: a personal API key was shown, which gives power over an account.",
    Reason.EMAIL_NOT_VERIFIED: "Not let in: the address is not verified.",
    Reason.MALFORMED_PASS: "Not let in: what the game sent as a pass is none.",
    Reason.EXPIRED_PASS: "Not let in: the pass has run out.",
    Reason.REFUSED_PASS: "Not let in: the pass was taken back, is for another game or player, or of another gateway.",
    Reason.SOURCE_UNAVAILABLE: "No answer, which is not a no: itch.io could not be reached, or is broken.",
    Reason.SOURCE_RATE_LIMITED: "No answer, which is not a no: itch.io asked the gateway to slow down.",
    Reason.SOURCE_PROTOCOL: ("No answer, which is not a no: itch.io gave an answer that no decision can be built on."),
    Reason.GATEWAY_CREDENTIAL: "No answer, which is not a no: itch.io refuses the API key of the gateway.",
    Reason.GAME_NOT_ACCESSIBLE: "No answer, which is not a no: the API key of the gateway cannot see this game.",
    Reason.NOT_CACHED: "No answer, which is not a no: nothing recent enough is known, and itch.io was not asked.",
    Reason.DEADLINE_EXCEEDED: "No answer, which is not a no: itch.io had not answered when the time was up.",
    Reason.OVERLOADED: "No answer, which is not a no: more was being asked than itch.io may be asked.",
}
_CAVEATS: Final[Mapping[Caveat, str]] = {
    Caveat.SANDBOX: "This comes from the sandbox, not from itch.io.",
    Caveat.EMAIL_MISSES_CLAIMED_KEYS: "By e-mail itch.io finds purchases, but no keys that an account has claimed.",
    Caveat.REVOCATIONS_HELD: "itch.io says no to too many owners at once to be believed; what it said before counts.",
}
_ADVICE: Final[Mapping[Advice, str]] = {
    Advice.OPEN_GAME_ONCE: "If it came in a bundle, the player should open the game once on itch.io and try again.",
    Advice.USE_ITCH_LOGIN: "The player should sign in with itch.io, or enter the download key, instead of an address.",
    Advice.COPY_KEY_AGAIN: "The player should copy the download key once more, from the page of the purchase.",
    Advice.OPEN_GAME_FROM_BUNDLE: "The player should open the game from the page of the bundle, and use that link.",
    Advice.RESTART_FROM_APP: "The player should start the game again from the itch.io app.",
    Advice.REVOKE_API_KEY: "The player should revoke that API key in the settings of the account.",
    Advice.VERIFY_ADDRESS: "The player should verify the address.",
    Advice.TRY_AGAIN: "The player should try again in a few minutes.",
    Advice.SIGN_IN_AGAIN: "The player should sign in again, as before there was a pass.",
}
_NOTHING_TO_DO: Final = "There is nothing that the player can do."
_NO_ADVICE: Final[Mapping[Reason, str]] = {
    Reason.NO_DOWNLOAD_KEY: "There is a key, but not of a kind that counts for this game.",
    Reason.GATEWAY_CREDENTIAL: "There is nothing that the player can do: the operator must replace that API key.",
    Reason.GAME_NOT_ACCESSIBLE: "There is nothing that the player can do: the operator must use the seller's API key.",
}
_ASKED_ABOUT: Final[Mapping[str, str]] = {
    "profile": "whose the JWT is",
    "games": "the games of the seller",
    "credentials": "the rights of the API key",
    "download_keys": "download keys",
    "purchases": "purchases",
}
_RESULTS: Final[Mapping[str, str]] = {
    "ok": "it answered",
    "no": "it knows none",
    "refused": "it does not accept what the player showed",
    "credential": "it refuses the API key of the gateway",
    "not_accessible": "the API key of the gateway cannot see the game",
    "rate_limited": "it asks the gateway to slow down",
    "unavailable": "it gave no answer",
    "protocol": "its answer cannot be understood",
    "gateway": "the gateway could not hear the answer",
}
_STATES: Final[Mapping[tuple[str, str], str]] = {
    ("source", "unavailable"): "itch.io gives no usable answers at the moment",
    ("source", "paused"): "itch.io has asked the gateway to wait, which it does",
    ("credential", "refused"): "itch.io refuses the API key of the gateway",
    ("revocations", "held"): "itch.io says no to too many owners at once, which is not believed",
    ("redis", "unavailable"): "Replicas do not know what the others remember, for Redis does not answer",
    ("secrets", "differ"): "The replicas have different secrets, so that none knows what the others remember",
}
_CAUSES: Final[Mapping[Cause, str]] = {
    Cause.PROXY: "the proxy on the way refuses or cannot be found",
    Cause.DNS: "its name cannot be resolved",
    Cause.REFUSED: "the connection is refused",
    Cause.UNREACHABLE: "there is no way to it through the network",
    Cause.TIMEOUT: "it took too long",
    Cause.RESET: "the connection was closed before there was an answer",
    Cause.TLS_UNTRUSTED: "its certificate is not trusted",
    Cause.TLS_EXPIRED: "its certificate is over, or not valid yet",
    Cause.TLS_NAME: "its certificate is for another name",
    Cause.NOT_TLS: "it does not speak TLS",
    Cause.AUTH: "it refuses the key or the password",
    Cause.FORBIDDEN: "a right is missing",
    Cause.MOVED: "it is one node of a cluster, and another has the key",
    Cause.READONLY: "it takes no writes",
    Cause.FULL: "it has no room left",
    Cause.LOADING: "it is still loading its data",
    Cause.THROTTLED: "it asks the gateway to slow down",
    Cause.SERVER_ERROR: "it answers with an error of its own",
    Cause.WEB_PAGE: "it answers with a web page, perhaps to tell people from programs",
    Cause.REDIRECT: "it sends the gateway to another address",
    Cause.PROTOCOL: "its answer cannot be understood",
    Cause.OTHER: "something that the gateway has no name for",
}
