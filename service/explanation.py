"""Decisions in sentences for people: what one means, how old its grounds are, and what the player can do.

`verify`, `why`, `/admin/explain` and the console all take theirs from here. The sentences are English, name no player
and no credential, and may change; programs go by reason, caveats and advice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct

from service.advice import Advice, advice_on
from service.causes import Cause
from service.ownership import Caveat, Outcome, OverrideWord, ProofKind, Reason


class StandingWord(Protocol):
    """The operator's word about a player, as it holds now."""

    @property
    def word(self) -> OverrideWord:
        """Whether the player is let in, or kept out."""

    @property
    def until(self) -> datetime | None:
        """The end of an override; None for what stands in the configuration."""

    @property
    def by(self) -> str | None:
        """The name of the caller that set it, where that is known."""


class Story(Struct, frozen=True, kw_only=True):
    """All that sentences about a decision are made of. `now` is when they are read; instants are in UTC.

    `cause` is why the store gave no answer, where it gave none. `operator` is the operator's word of now; a decision
    from before, which `is_past`, may have been made without it. `asked` is false for a look at what is known, for
    which the store is left alone: `found_from` is when the remembered decision was made that is all it found.
    `missing_rights` are those that the reader lacks to have the store asked. `key_players` is the number of players
    after whom the game lets in no other with the same download key, where there is one.
    """

    reason: Reason
    now: datetime
    caveats: tuple[Caveat, ...] = ()
    observed_at: datetime | None = None
    usable_until: datetime | None = None
    stale: bool = False
    cause: Cause | None = None
    count: int = 1
    operator: StandingWord | None = None
    is_past: bool = False
    asked: bool = True
    found_from: datetime | None = None
    missing_rights: tuple[str, ...] = ()
    key_players: int | None = None

    @property
    def finds_nothing(self) -> bool:
        """Whether a look has found nothing, which is no trouble of the store's."""
        return self.reason is Reason.NOT_CACHED and not self.asked and self.found_from is None

    @property
    def let_in_since(self) -> bool:
        """Whether the operator lets in now whom the decision did not."""
        is_grant = self.operator is not None and self.operator.word is OverrideWord.GRANT
        return self.is_past and is_grant and not self.reason.outcome.allowed


class Told(Struct, frozen=True, kw_only=True):
    """A decision in words: the verdict for a heading, why, what else there is to say, and what the player can do.

    `let_in` is None where nothing is decided. `next_step` is None for a player who is let in, and where a look has
    found nothing. `sentences` are all of it, the most important first.
    """

    verdict: str
    let_in: bool | None
    why: str
    details: list[str]
    next_step: str | None
    sentences: list[str]


class ShownProof(Protocol):
    """A proof of ownership, as the store shows it or as an answer has it."""

    @property
    def kind(self) -> ProofKind:
        """The kind of proof."""

    @property
    def id(self) -> int | None:
        """The store's number of it, where it has one."""


def tell(story: Story) -> Told:
    """Return the decision in words."""
    if story.finds_nothing:
        verdict, let_in, why = "Nothing is known", None, "itch.io has not been asked about this lately."
    else:
        verdict, let_in, why = _VERDICTS[story.reason.outcome], _let_in(story.reason), _WHY[story.reason]
    opening = f"{verdict}: {why}"
    if story.let_in_since:
        was = f"Was {verdict[0].lower()}{verdict[1:]}"
        opening, verdict, let_in = f"{was}: {why}", f"{was}. Let in now", True
    details, step = _details(story), _next_step(story)
    return Told(
        verdict=verdict,
        let_in=let_in,
        why=why if why.startswith("itch.io") else why[0].upper() + why[1:],
        details=details,
        next_step=step,
        sentences=[opening, *details, *([] if step is None else [step])],
    )


def _let_in(reason: Reason) -> bool | None:
    return None if reason.outcome is Outcome.UNKNOWN else reason.outcome.allowed


def _details(story: Story) -> list[str]:
    """Return what there is to say beside why, and beside what the player can do."""
    told = []
    operator = story.operator
    if operator is not None:
        told.append(tell_operator(operator.word, operator.until, operator.by))
    if story.found_from is not None:
        told.append(f"That was {age_in_words(story.now - story.found_from)}, and nothing newer is known.")
    if story.cause is not None and story.reason in _WITHOUT_ANSWER:
        told.append(f"The cause: {_CAUSES[story.cause]}.")
    if story.observed_at is not None:
        told.append(f"itch.io was asked {age_in_words(story.now - story.observed_at)}.")
    if story.key_players is not None and story.reason.outcome is Outcome.OWNED:
        told.append(_FIRST_PLAYER if story.key_players == 1 else _FIRST_PLAYERS.format(story.key_players))
    if story.stale:
        told.append("This rests on what itch.io said before.")
    if story.reason in _OPERATORS and story.usable_until is not None and operator is None:
        holds = "was to hold" if story.is_past else "holds"
        told.append(f"The operator's word {holds} until {_instant(story.usable_until)}.")
    if story.count > 1:
        told.append(f"The question was asked {story.count} times within a minute.")
    told += [_CAVEATS[caveat] for caveat in story.caveats if caveat in _CAVEATS]
    if story.finds_nothing or story.found_from is not None:
        told.append(_ASK_NOW if not story.missing_rights else _cannot_ask(story.missing_rights))
    return told


def _cannot_ask(missing: Sequence[str]) -> str:
    rights = " and ".join(f"`{right}`" for right in missing)
    return f"itch.io must be asked to find out, which needs {rights} in the rights of your token, too."


def _next_step(story: Story) -> str | None:
    """Return what the player can do; None for one who is let in, and where a look has found nothing."""
    if story.let_in_since:
        return "The player should try again now."
    if story.reason.outcome.allowed or story.finds_nothing:
        return None
    hints = [_HINTS[caveat] for caveat in story.caveats if caveat in _HINTS]
    if hints:
        return " ".join(hints if Caveat.EMAIL_MISSES_CLAIMED_KEYS in story.caveats else [*hints, _OTHER_WAYS])
    advice = advice_on(story.reason, story.caveats)
    return _NO_ADVICE[story.reason] if advice is None else _ADVICE[advice]


def meaning_of(reason: Reason) -> str:
    """Return the sentence for a reason."""
    return f"{_VERDICTS[reason.outcome]}: {_WHY[reason]}"


def tell_states(components: Mapping[str, str], causes: Mapping[str, Cause]) -> dict[str, str]:
    """Return a sentence by each component, in the words of `/readyz`, that does not work."""
    told = {}
    for component, state in components.items():
        sentence = _STATES.get((component, state))
        if sentence is not None:
            cause = causes.get(component)
            told[component] = sentence + ("." if cause is None else f": {_CAUSES[cause]}.")
    return told


def tell_causes(causes: Mapping[str, Cause]) -> dict[str, str]:
    """Return the cause as a sentence by each component that does not work; the component is "it"."""
    return {component: f"{_CAUSES[cause][0].upper()}{_CAUSES[cause][1:]}." for component, cause in causes.items()}


def tell_operator(word: OverrideWord, until: datetime | None, by: str | None = None) -> str:
    """Return the operator's word about the player as a sentence; without an end it stands in the configuration."""
    does = "lets this player in" if word is OverrideWord.GRANT else "keeps this player out"
    if until is None:
        return f"The configuration {does}."
    return f"An override{'' if by is None else f' by {by}'} {does} until {_instant(until)}."


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


_VERDICTS: Final = {
    outcome: "Not decided" if outcome is Outcome.UNKNOWN else "Let in" if outcome.allowed else "Not let in"
    for outcome in Outcome
}
_WHY: Final[Mapping[Reason, str]] = {
    Reason.DOWNLOAD_KEY: "itch.io knows a download key of this game for this player.",
    Reason.PURCHASE: "itch.io knows a purchase of this game by this player.",
    Reason.BUNDLE_PURCHASE: "itch.io knows that this player bought a bundle with this game.",
    Reason.WEB_PURCHASE: "itch.io knows a payment of this player for this game.",
    Reason.SELLER_ACCOUNT: "this is the account that sells the game.",
    Reason.OPERATOR_GRANT: "the operator has said so.",
    Reason.PRESS: "this is one of itch.io's press accounts.",
    Reason.OPERATOR_BAN: "the operator keeps this player out.",
    Reason.INVALID_DOWNLOAD_KEY: (
        "itch.io knows no such download key of this game, or it was revoked, or is another game's."
    ),
    Reason.NO_DOWNLOAD_KEY: "itch.io knows neither a key nor a purchase that counts for this game.",
    Reason.MALFORMED_DOWNLOAD_KEY: "what the player entered is no download key.",
    Reason.TEMPORARY_DOWNLOAD_LINK: "the player entered a download link that ends soon, not the key.",
    Reason.BUNDLE_LINK: "the player entered the link of a whole bundle, not that of this game.",
    Reason.MALFORMED_JWT: "what the game sent as its proof from the itch.io app is none.",
    Reason.EXPIRED_JWT: "the game's proof from the itch.io app has run out.",
    Reason.REFUSED_JWT: "itch.io does not accept the game's proof from the itch.io app.",
    Reason.API_KEY_NOT_ACCEPTED: "a personal API key was shown, which gives power over an account.",
    Reason.EMAIL_NOT_VERIFIED: "the address is not verified.",
    Reason.MALFORMED_PASS: "what the game sent as a pass is none.",
    Reason.EXPIRED_PASS: "the pass has run out.",
    Reason.REFUSED_PASS: "the pass was taken back, is for another game or player, or of another gateway.",
    Reason.SHARED_DOWNLOAD_KEY: "as many other players as are allowed have shown this download key.",
    Reason.MALFORMED_ACCESS_TOKEN: "what the game sent as an access token of itch.io is none.",
    Reason.REFUSED_ACCESS_TOKEN: "itch.io does not accept the access token, or not for this game.",
    Reason.SOURCE_UNAVAILABLE: "itch.io could not be reached, or is broken.",
    Reason.SOURCE_RATE_LIMITED: "itch.io asked the gateway to slow down.",
    Reason.SOURCE_PROTOCOL: "itch.io gave an answer that no decision can be built on.",
    Reason.GATEWAY_CREDENTIAL: "itch.io refuses the API key of the gateway.",
    Reason.GAME_NOT_ACCESSIBLE: "the API key of the gateway cannot see this game.",
    Reason.NOT_CACHED: "nothing recent enough is known, and itch.io was not asked.",
    Reason.DEADLINE_EXCEEDED: "itch.io had not answered when the time was up.",
    Reason.OVERLOADED: "more was being asked than itch.io may be asked.",
    Reason.ISSUER_UNAVAILABLE: "the keys that check the player's id token could not be had.",
}
_FIRST_PLAYER: Final = "The game lets in the first player who shows a download key, and no other."
_FIRST_PLAYERS: Final = "The game lets in the first {} players who show a download key, and no others."
_CAVEATS: Final[Mapping[Caveat, str]] = {
    Caveat.SANDBOX: "This comes from the sandbox, not from itch.io.",
    Caveat.EMAIL_MISSES_CLAIMED_KEYS: "By e-mail itch.io finds purchases, but no keys that an account has claimed.",
    Caveat.SHARED_DOWNLOAD_KEY: "More players than expected have shown this download key.",
    Caveat.REVOCATIONS_HELD: "itch.io says no to too many owners at once to be believed; what it said before counts.",
    Caveat.RECORD_PURCHASE_ID_BEFORE_GRANTING: "Whether it was granted before is in the records of the studio alone.",
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
    Advice.OPEN_REDEEM_LINK_AGAIN: "The player should open the link to redeem the purchase once more, on itch.io.",
}
_NO_ADVICE: Final[Mapping[Reason, str]] = {
    Reason.OPERATOR_BAN: "The player is kept out on purpose: trying again changes nothing, only the operator can.",
    Reason.NO_DOWNLOAD_KEY: "There is a key, but not of a kind that counts for this game.",
    Reason.GATEWAY_CREDENTIAL: "The player can only wait: the operator must replace that API key.",
    Reason.GAME_NOT_ACCESSIBLE: "The player can only wait: the operator must use the seller's API key.",
}
_HINTS: Final[Mapping[Caveat, str]] = {
    Caveat.BUNDLE_KEY_MAY_BE_UNCLAIMED: _ADVICE[Advice.OPEN_GAME_ONCE],
    Caveat.EMAIL_MISSES_CLAIMED_KEYS: _ADVICE[Advice.USE_ITCH_LOGIN],
}
"""All that holds is said, where `advice` can be one only: the player may have bought the game in either way."""

_OTHER_WAYS: Final = "If not, the address on the receipt, or the download key, may lead to the purchase."
_ASKED_ABOUT: Final[Mapping[str, str]] = {
    "profile": "whose the JWT or access token is",
    "ownership": "the game, with the player's access token",
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
    Cause.WEB_PAGE: "it shows a page for people (such as a check for robots, or of works) instead of an answer",
    Cause.REDIRECT: "it sends the gateway to another address",
    Cause.PROTOCOL: "its answer cannot be understood",
    Cause.OTHER: "something that the gateway has no name for",
}
