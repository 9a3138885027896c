"""A secret shows its text only to code that asks for it by name."""

import copy
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable

import msgspec
import pytest
from msgspec import Struct

from service.ownership import AppJwt, DownloadKey, VerifiedEmail
from service.secret import RedisUrl, SealingSecret, Secret, SellerKey

TEXT = "canary-7f3a9c"
KINDS = [Secret, SellerKey, SealingSecret, RedisUrl, DownloadKey, AppJwt, VerifiedEmail]


class _Holder(Struct, frozen=True):
    secret: Secret


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def secret(request: pytest.FixtureRequest) -> Secret:
    """One of each kind of secret."""
    kind: type[Secret] = request.param
    return kind(TEXT)


def test_reveal_gives_the_text(secret: Secret) -> None:
    assert secret.reveal() == TEXT


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        format,
        pprint.pformat,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r:>60}",
        lambda secret: f"{secret=}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - the way logging does it
        lambda secret: str([secret]),
        lambda secret: str({secret: secret}),
        lambda secret: repr(_Holder(secret)),
        lambda secret: str(ValueError(secret)),
        lambda secret: logging.LogRecord("x", 10, "x", 1, "%s", (secret,), None).getMessage(),
        lambda secret: json.dumps({"secret": secret}, default=str),
        lambda secret: msgspec.json.encode(_Holder(secret), enc_hook=str).decode(),
    ],
)
def test_text_made_of_it_names_only_its_kind(secret: Secret, show: Callable[[Secret], str]) -> None:
    """A printed secret says what it was for, and nothing else."""
    shown = show(secret)

    assert TEXT not in shown
    assert f"{type(secret).__name__}(***)" in shown


@pytest.mark.parametrize(
    "leak",
    [
        *[lambda secret, protocol=protocol: pickle.dumps(secret, protocol) for protocol in range(6)],
        lambda secret: pickle.dumps([secret]),
        json.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        msgspec.to_builtins,
        lambda secret: msgspec.json.encode(_Holder(secret)),
        lambda secret: format(secret, "40"),
        lambda secret: "".join([secret]),
        lambda secret: "key=" + secret,
        bytes,
        list,
        len,
    ],
)
def test_what_would_carry_the_text_away_fails(secret: Secret, leak: Callable[[Secret], object]) -> None:
    """The exception does not carry the text either."""
    with pytest.raises(TypeError) as failure:
        leak(secret)

    assert TEXT not in "".join(traceback.format_exception(failure.value))


@pytest.mark.parametrize("copy_of", [copy.copy, copy.deepcopy])
def test_a_copy_is_the_secret_itself(secret: Secret, copy_of: Callable[[Secret], Secret]) -> None:
    """Copying structs that hold one works, and makes no second text."""
    assert copy_of(secret) is secret


def test_a_traceback_with_local_variables_does_not_show_it(secret: Secret) -> None:
    """Some error reporters print every local variable."""

    def fail(held: Secret) -> None:
        raise ValueError(held)

    with pytest.raises(ValueError, match=r"\*\*\*") as failure:
        fail(secret)

    shown = "".join(traceback.TracebackException.from_exception(failure.value, capture_locals=True).format())
    assert ("held = " in shown, TEXT in shown) == (True, False)


def test_it_has_no_attributes_to_look_through(secret: Secret) -> None:
    """A tool that dumps the dictionary of every object finds no text."""
    assert TEXT not in str(getattr(secret, "__dict__", {}))


def test_equal_texts_of_one_kind_are_equal(secret: Secret) -> None:
    """Their hashes are equal too."""
    twin = type(secret)(TEXT)

    assert (secret == twin, hash(secret) == hash(twin)) == (True, True)


def test_other_texts_are_not(secret: Secret) -> None:
    """Texts that differ by one character are not equal."""
    assert secret != type(secret)(TEXT + "0")


@pytest.mark.parametrize("other", KINDS)
def test_kinds_are_never_equal(secret: Secret, other: type[Secret]) -> None:
    """A download key and a caller token with the same text are not equal."""
    assert (secret == other(TEXT)) == (type(secret) is other)


def test_it_is_not_equal_to_its_text(secret: Secret) -> None:
    """A secret cannot be found out by comparing it with guesses in the clear."""
    assert secret != TEXT


def test_it_is_true_unless_it_is_empty() -> None:
    """An `if` can ask whether a secret was given."""
    assert (bool(Secret(TEXT)), bool(Secret(""))) == (True, False)


def test_texts_that_are_not_utf8_can_be_compared() -> None:
    """Environment variables may hold lone surrogates."""
    assert Secret("\udcff") == Secret("\udcff") != Secret("\udcfe")
