"""Values as released versions have stored them: this version reads every one, and finds it at the same place."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.cache.bound_cipher import BoundCipher
from service.cache.entry import CacheEntry
from service.cache.override_notes import OverrideNote
from service.cache.override_notes import _bound_to as note_place
from service.cache.refusal_memory import RememberedRefusal
from service.cache.sealing import Sealer
from service.cache.shared_refusals import _bound_to as refusal_place
from service.cache.table_entry import TableSealer
from tests.cache import stored_formats as formats
from tests.cache.samples import DAY, GAME, KEYS, NAME
from tests.clock import START

_RELEASES = sorted(formats.FOLDER.glob("*.json"))


@pytest.fixture(params=_RELEASES, ids=lambda path: path.stem)
def stored(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The values of one release."""
    path: Path = request.param
    values: dict[str, Any] = json.loads(path.read_text())
    return values


def test_there_is_one_of_each_format() -> None:
    """The latest release has all that this version stores, so that nothing new goes unread."""
    latest = json.loads(_RELEASES[-1].read_text())

    assert latest.keys() == formats.stored().keys()
    for group in ("names", "key names", "observations", "table"):
        assert latest[group].keys() == formats.stored()[group].keys()


def test_names_stay(stored: dict[str, Any]) -> None:
    """Earlier answers are found again, and so is the word of an operator."""
    assert stored["names"] == {title: formats.NAMES[title] for title in stored["names"]}
    assert stored["key names"] == {title: formats.KEY_NAMES[title] for title in stored["key names"]}


def test_observations_are_read(stored: dict[str, Any]) -> None:
    """Each kind of answer of itch.io means the same."""
    for title, sealed in stored["observations"].items():
        entry = Sealer(KEYS.sealing).unseal(NAME, bytes.fromhex(sealed))

        assert entry == CacheEntry(formats.OBSERVATIONS[title], START + DAY)


def test_the_replicated_table_is_read(stored: dict[str, Any]) -> None:
    """Each kind of entry, with its value."""
    for title, sealed in stored["table"].items():
        assert TableSealer(KEYS.table).unseal(bytes.fromhex(sealed)) == formats.ENTRIES[title]


def test_leases_are_recognised(stored: dict[str, Any]) -> None:
    """A look-up that a replica of that version has begun is not begun again."""
    assert formats.lease_tokens().recognise(NAME, stored["lease"].encode())


def test_notes_are_read(stored: dict[str, Any]) -> None:
    """By whom an override was set, and why."""
    plain = BoundCipher(KEYS.overrides).unseal(bytes.fromhex(stored["note"]), note_place(formats.OVERRIDE))

    assert msgspec.msgpack.decode(plain or b"", type=OverrideNote) == formats.NOTE


def test_refusals_are_read(stored: dict[str, Any]) -> None:
    """Support finds them by their ids after an upgrade, too."""
    place = refusal_place(formats.KEY_NAMES["refusal"])
    plain = BoundCipher(KEYS.refusals).unseal(bytes.fromhex(stored["refusal"]), place)

    assert msgspec.msgpack.decode(plain or b"", type=RememberedRefusal) == formats.REFUSAL


def test_challenges_and_proofs_are_opened(stored: dict[str, Any]) -> None:
    """A player whose code was mailed before an upgrade can type it in after it, and a proof stays one."""
    challenge = formats.texts().open_challenge(stored["challenge"])
    proof = formats.texts().open_proof(stored["proof"])

    assert challenge is not None
    assert challenge.is_met_by(formats.CODE)
    assert proof is not None
    assert (proof.email, proof.game_id, proof.caller) == ("bea@example.com", GAME, "lobby")
    assert proof.ends == challenge.ends == START + DAY
