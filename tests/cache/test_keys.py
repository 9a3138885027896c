"""Names hold every input, and reveal none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from service.cache.keys import KeyedFingerprints, derive_keys, encode_fields, redis_key
from service.ownership import (
    AppJwt,
    AssertedUser,
    Credential,
    DownloadKey,
    GameId,
    PlayerId,
    ProofKind,
    VerifiedEmail,
)
from service.secret import SealingSecret
from tests.cache.samples import KEYS, NAME, fingerprints

GAME = GameId(3)
KEY = DownloadKey("YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z")
ALL = frozenset(ProofKind)


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_no_two_lists_of_fields_run_together(one: list[bytes], other: list[bytes]) -> None:
    """Also where the one is the other with a boundary moved."""
    assert (encode_fields(one) == encode_fields(other)) is (one == other)
    assert encode_fields([b"".join(one)]) != encode_fields(one) or len(one) == 1


def test_naive_joining_does_not_come_back() -> None:
    """The boundary between two fields is part of the hash."""
    assert encode_fields([b"1", b"2:x"]) != encode_fields([b"1:2", b"x"])


subjects = st.one_of(
    st.text().map(DownloadKey),
    st.text().map(VerifiedEmail),
    st.integers(min_value=1, max_value=2**53 - 1).map(PlayerId).map(AssertedUser),
)


@given(st.lists(st.tuples(st.integers(1, 2**53 - 1).map(GameId), subjects, st.frozensets(st.sampled_from(ProofKind)))))
def test_different_questions_have_different_names(
    questions: list[tuple[GameId, DownloadKey | VerifiedEmail | AssertedUser, frozenset[ProofKind]]],
) -> None:
    """As many names as there are questions, and as many lists of fields."""
    names = {fingerprints().of_question(*question) for question in questions}

    assert len(names) == len(set(questions))


@pytest.mark.parametrize(
    "other",
    [
        fingerprints().of_question(GameId(4), KEY, ALL),
        fingerprints().of_question(GAME, DownloadKey(KEY.reveal().lower()), ALL),
        fingerprints().of_question(GAME, VerifiedEmail(KEY.reveal()), ALL),
        fingerprints().of_question(GAME, KEY, ALL - {ProofKind.WEB_PURCHASE}),
        fingerprints().of_token(AppJwt(KEY.reveal()), GameId(3)),
        KeyedFingerprints(KEYS.naming, "https://api.itch.io current sandbox").of_question(GAME, KEY, ALL),
        KeyedFingerprints(derive_keys(None).naming, "https://api.itch.io current").of_question(GAME, KEY, ALL),
    ],
    ids=["game", "case", "subject kind", "accepted proof", "kind of question", "environment", "secret"],
)
def test_every_input_is_in_the_name(other: bytes) -> None:
    """Changing any one input changes the name."""
    assert fingerprints().of_question(GAME, KEY, ALL) != other


def test_the_order_of_accepted_proof_does_not_matter() -> None:
    """The same question asked in another order has the same name."""
    forwards = fingerprints().of_question(GAME, KEY, list(ProofKind))

    assert fingerprints().of_question(GAME, KEY, [*reversed(ProofKind), ProofKind.PURCHASE]) == forwards


def test_the_same_secret_gives_the_same_keys() -> None:
    """Replicas with the same secret find each other's entries."""
    assert derive_keys(SealingSecret("x" * 40)) == derive_keys(SealingSecret("x" * 40))


def test_without_a_secret_keys_are_of_this_process_alone() -> None:
    """No key is derived from a constant."""
    assert derive_keys(None) != derive_keys(None)


def test_every_purpose_has_a_key_of_its_own() -> None:
    """A key that has leaked gives away none of the others."""
    keys = [key.reveal() for key in astuple(KEYS)]

    assert len(set(keys)) == len(keys) == 10


def test_a_secret_may_be_longer_than_a_hash_key() -> None:
    """All of a long secret counts."""
    assert derive_keys(SealingSecret("x" * 100 + "1")) != derive_keys(SealingSecret("x" * 100 + "2"))


def test_keys_do_not_print_themselves() -> None:
    """A printed pair of keys shows neither."""
    printed = repr(KEYS)

    assert KEYS.naming.reveal() not in printed
    assert KEYS.sealing.reveal() not in printed


@pytest.mark.parametrize(
    "credential", [KEY, AppJwt("a.b.c"), VerifiedEmail("amos@example.com"), AssertedUser(PlayerId(1994))]
)
def test_a_credential_has_a_short_name_for_the_log(credential: Credential) -> None:
    """Sixteen hexadecimal digits, the same every time."""
    name = fingerprints().of_credential(credential)

    assert len(bytes.fromhex(name)) == 8
    assert name == fingerprints().of_credential(credential)


def test_a_credential_is_not_named_like_its_question() -> None:
    """The log does not name the key of an entry in Redis."""
    credential, question = fingerprints().of_credential(KEY), fingerprints().of_token(AppJwt(KEY.reveal()), GameId(3))

    assert not question.hex().startswith(credential)


def test_any_text_can_be_named() -> None:
    """A lone surrogate has a name too, and not that of a question mark."""
    assert fingerprints().of_token(AppJwt("\udc80"), GameId(3)) != fingerprints().of_token(AppJwt("?"), GameId(3))


def test_a_redis_key_is_a_version_and_a_name() -> None:
    """The prefix is what an operator's ACL can be built on."""
    assert redis_key(NAME) == "og:v2:e:000102030405060708090a0b0c0d0e0f"
