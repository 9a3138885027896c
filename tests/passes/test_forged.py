"""Tokens that are no passes, or none for who shows them."""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from jwt.algorithms import RSAAlgorithm

from service.ownership import GameId, Reason
from service.pass_pem import read_signing_keys
from service.passes.pass_claims import PassClaims
from service.passes.pass_reader import MOST_REMEMBERED, PassReader, RejectedPass
from service.passes.signing_keys import KeySet, SigningKey, SigningKeys, key_set
from service.secret import PassKeys
from tests.clock import FakeClock
from tests.passes.conftest import pem
from tests.passes.make_forged import Forger

CORPUS: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "forged.json").read_text(encoding="utf-8"))
NOW: Final = datetime.fromtimestamp(CORPUS["now"], UTC)
GAME: Final = GameId(CORPUS["game"])


class Published(SigningKeys):
    """The keys of the corpus, of which only the public half is known."""

    def __init__(self, keys: KeySet) -> None:
        self.keys = keys

    def current(self) -> KeySet:
        """Return them."""
        return self.keys


@cache
def published() -> KeySet:
    """Return the keys of the corpus."""
    (stand_in,) = read_signing_keys(pem())
    keys = []
    for jwk in CORPUS["keys"]:
        public = RSAAlgorithm.from_jwk(jwk)
        keys.append(SigningKey(jwk["kid"], stand_in, public))  # type: ignore[arg-type]  # no private key is in the file
    return KeySet(tuple(keys), b"")


def reader() -> PassReader:
    """Return a reader for passes of the corpus."""
    return PassReader(keys=Published(published()), issuer=CORPUS["issuer"])


def read(text: str, *, player_ref: str | None = CORPUS["player_ref"], now: datetime = NOW) -> PassClaims | Reason:
    """Read a pass as the gateway would at that time; return its claims, or why it is rejected."""
    return result(reader().read(text, game_id=GAME, player_ref=player_ref, now=now))


def result(found: PassClaims | RejectedPass) -> PassClaims | Reason:
    """Return the claims, or why the pass is rejected."""
    return found.reason if isinstance(found, RejectedPass) else found


def test_the_good_one_is_accepted() -> None:
    """A control: what the others differ from is a pass."""
    claims = read(CORPUS["good"])
    assert isinstance(claims, PassClaims)
    assert (claims.sub, claims.player_id) == ("itch:1994", 1994)


@pytest.mark.parametrize("token", CORPUS["forged"].values(), ids=CORPUS["forged"])
def test_no_forged_token_is_accepted(token: str) -> None:
    """Each is rejected, for one of three reasons."""
    assert read(token) in {Reason.MALFORMED_PASS, Reason.REFUSED_PASS, Reason.EXPIRED_PASS}


def test_there_are_enough_of_them() -> None:
    assert len(CORPUS["forged"]) >= 60


@pytest.mark.parametrize("token", CORPUS["for_match_servers"].values(), ids=CORPUS["for_match_servers"])
def test_the_gateway_is_asked_about_passes_of_all_servers(token: str) -> None:
    """The audience binds match servers."""
    assert isinstance(read(token), PassClaims)


@pytest.mark.parametrize("player_ref", [None, "lobby:0000", "lobby:7f3", "LOBBY:7F3A"])
def test_a_pass_is_good_for_its_player_only(player_ref: str | None) -> None:
    """A pass that names a player is shown with the same name."""
    assert read(CORPUS["good"], player_ref=player_ref) is Reason.REFUSED_PASS


def test_a_pass_ends_to_the_second() -> None:
    """No leeway is given at its end."""
    assert isinstance(read(CORPUS["good"], now=NOW + timedelta(seconds=839)), PassClaims)
    assert read(CORPUS["good"], now=NOW + timedelta(seconds=840)) is Reason.EXPIRED_PASS


def test_a_signature_is_checked_once() -> None:
    """A pass that was good is remembered, and what differs from it is not."""
    passes = reader()
    first = passes.read(CORPUS["good"], game_id=GAME, player_ref=CORPUS["player_ref"], now=NOW)
    again = passes.read(CORPUS["good"], game_id=GAME, player_ref=CORPUS["player_ref"], now=NOW)

    assert again is first
    assert result(passes.read(CORPUS["good"], game_id=GameId(4), player_ref=None, now=NOW)) is Reason.REFUSED_PASS


def test_the_oldest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than so many are remembered."""
    assert MOST_REMEMBERED == 10_000
    monkeypatch.setattr("service.passes.pass_reader.MOST_REMEMBERED", 2)
    passes = reader()

    def show(token: str) -> PassClaims | Reason:
        return result(passes.read(token, game_id=GAME, player_ref=CORPUS["player_ref"], now=NOW))

    first = show(CORPUS["good"])
    for token in list(CORPUS["for_match_servers"].values())[:2]:
        show(token)

    assert show(CORPUS["good"]) == first
    assert show(CORPUS["good"]) is not first


def test_a_key_that_is_gone_takes_its_passes_along() -> None:
    """Those whose signature is remembered, too."""
    keys = Published(published())
    passes = PassReader(keys=keys, issuer=CORPUS["issuer"])
    assert isinstance(passes.read(CORPUS["good"], game_id=GAME, player_ref="lobby:7f3a", now=NOW), PassClaims)

    keys.keys = key_set(PassKeys(pem()))

    gone = passes.read(CORPUS["good"], game_id=GAME, player_ref="lobby:7f3a", now=NOW)
    assert gone == RejectedPass(Reason.REFUSED_PASS)


@pytest.mark.parametrize("subject", ["itch:amos", "itch:0", f"itch:{'9' * 17}", "itch:1994\n", "key:short", "key:", ""])
def test_a_pass_says_whose_it_is(subject: str) -> None:
    """A token of another kind, signed by the same key, is no pass."""
    forger = Forger()
    passes = PassReader(keys=Published(forger.keys), issuer=CORPUS["issuer"])

    def show(token: str) -> PassClaims | Reason:
        return result(passes.read(token, game_id=GAME, player_ref=CORPUS["player_ref"], now=NOW))

    assert isinstance(show(forger.token()), PassClaims)
    assert show(forger.token({"sub": subject})) is Reason.REFUSED_PASS


def test_a_clock_is_not_needed() -> None:
    """A control: the time of the corpus is none of the machine's."""
    assert FakeClock().now() != NOW
