"""Only what was sealed for a name can be unsealed under it."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from service.cache.entry import CacheEntry
from service.cache.keys import derive_keys, redis_key
from service.cache.sealing import HEADER, LAYOUT_VERSION, Flaw, Sealer, Unsealable, stamp
from service.ownership import Evidence, Observation, Player, PlayerId, Proof, ProofKind, Reason, Refusal
from tests.cache.samples import KEYS, NAME, OTHER_NAME, entry, identity, no, refusal, sealer, yes
from tests.clock import START

instants = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
ids = st.integers(1, 2**53 - 1)
players = st.builds(Player, ids.map(PlayerId), st.none() | st.text(), st.none() | st.text())
proofs = st.builds(Proof, st.sampled_from(ProofKind), st.none() | ids, st.none() | instants)
observations = st.one_of(
    st.builds(Evidence, instants, st.lists(proofs, max_size=3).map(tuple), st.none() | players, st.booleans()),
    st.builds(Refusal, instants, st.sampled_from(Reason), st.booleans()),
)


def flaw_of(blob: bytes) -> Flaw:
    """Return why the bytes cannot be unsealed."""
    with pytest.raises(Unsealable) as raised:
        sealer().unseal(NAME, blob)
    return raised.value.flaw


@given(observations, instants)
def test_unsealing_gives_back_what_was_sealed(observation: Observation, keep_until: datetime) -> None:
    """Every field survives, instants to the microsecond."""
    sealed = sealer().seal(NAME, CacheEntry(observation, keep_until))

    assert sealer().unseal(NAME, sealed) == CacheEntry(observation, keep_until)


@pytest.mark.parametrize("observation", [yes(), no(), refusal(), identity()])
def test_every_kind_of_observation_can_be_sealed(observation: Observation) -> None:
    """Evidence, identity and refusal come back as what they were."""
    assert sealer().unseal(NAME, sealer().seal(NAME, entry(observation))).observation == observation


def test_instants_come_back_in_utc() -> None:
    """An instant given in another zone is the same instant, in UTC."""
    tokyo = START.astimezone(timezone(timedelta(hours=9)))

    observed_at = sealer().unseal(NAME, sealer().seal(NAME, entry(yes(tokyo)))).observation.observed_at

    assert (observed_at, observed_at.utcoffset()) == (START, timedelta(0))


def test_any_flipped_bit_is_noticed() -> None:
    """No byte of an entry can be changed, in clear or not."""
    sealed = sealer().seal(NAME, entry(yes()))

    flaws = set()
    for position in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[position] ^= 1 << bit
            flaws.add((flaw_of(bytes(changed)), position == 0))

    assert flaws == {(Flaw.OTHER_VERSION, True), (Flaw.FORGED, False)}


def test_any_cut_is_noticed() -> None:
    """No end of an entry can be left out."""
    sealed = sealer().seal(NAME, entry(yes()))

    assert {flaw_of(sealed[:length]) for length in range(len(sealed))} == {Flaw.SIZE, Flaw.FORGED}


@given(st.binary(max_size=200))
def test_garbage_is_noticed(blob: bytes) -> None:
    """No bytes make anything else happen than `Unsealable`."""
    assert flaw_of(blob) in Flaw


def test_a_huge_value_is_not_even_tried() -> None:
    """A value larger than any entry of ours costs no cryptography."""
    sealed = sealer().seal(NAME, entry(yes()))

    assert flaw_of(sealed + bytes(16_384)) is Flaw.SIZE


def test_an_entry_cannot_be_moved_to_another_name() -> None:
    """The owner's entry, copied to a stranger's key, is worth nothing there."""
    assert flaw_of(sealer().seal(OTHER_NAME, entry(yes()))) is Flaw.FORGED


def test_an_entry_of_another_secret_is_forged() -> None:
    """An entry that was sealed with another key is not believed."""
    assert flaw_of(Sealer(derive_keys(None).sealing).seal(NAME, entry(yes()))) is Flaw.FORGED


def sealed_by_hand(body: bytes, *, says_no: int, observed_at: datetime) -> bytes:
    """Return an entry as a mistaken gateway with our key might make it."""
    header, nonce = HEADER.pack(LAYOUT_VERSION, says_no, stamp(observed_at)), bytes(12)
    cipher = AESGCM(bytes.fromhex(KEYS.sealing.reveal()))
    return header + nonce + cipher.encrypt(nonce, body, redis_key(NAME).encode() + header)


@pytest.mark.parametrize("body", [b"\xc1", b"\xa1\xff", msgspec.msgpack.encode({"observation": {"type": "x"}})])
def test_a_body_that_is_no_observation_is_noticed(body: bytes) -> None:
    """A body is read with care even if our own key sealed it."""
    assert flaw_of(sealed_by_hand(body, says_no=0, observed_at=START)) is Flaw.BODY


@pytest.mark.parametrize(("says_no", "late"), [(1, 0), (0, 1)])
def test_the_header_must_tell_the_truth(says_no: int, late: int) -> None:
    """The bytes that Redis compares must agree with the sealed ones."""
    body = msgspec.msgpack.encode(entry(yes()))
    observed_at = START + timedelta(microseconds=late)

    assert flaw_of(sealed_by_hand(body, says_no=says_no, observed_at=observed_at)) is Flaw.BODY


def test_equal_observations_are_sealed_differently() -> None:
    """A reader of Redis cannot see that two entries are equal."""
    assert sealer().seal(NAME, entry(yes()))[10:] != sealer().seal(NAME, entry(yes()))[10:]


def test_nothing_of_the_observation_is_readable() -> None:
    """Neither names nor ids appear in the sealed bytes."""
    sealed = sealer().seal(NAME, entry(yes()))

    assert b"amos" not in sealed
    assert b"Amos" not in sealed
