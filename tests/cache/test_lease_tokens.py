"""Lease tokens: only gateways with the secret can make them, and none is good for long."""

from datetime import timedelta
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.cache.keys import Keys, derive_keys
from service.cache.lease_tokens import LARGEST_SKEW, LeaseTokens
from service.secret import SealingSecret
from tests.cache.samples import KEYS, NAME, OTHER_NAME
from tests.clock import START, FakeClock

LONGEST: Final = timedelta(seconds=5)
INSTANT: Final = timedelta(microseconds=1)


def tokens(at: timedelta = timedelta(), keys: Keys = KEYS) -> LeaseTokens:
    """Return the tokens of a replica whose clock shows so much more than the others' did at the start."""
    return LeaseTokens(keys.leases, clock=FakeClock(START + at), longest=LONGEST)


TOKEN: Final = tokens().make(NAME).encode()


def test_replicas_with_one_secret_recognise_each_others() -> None:
    """That is what they are for."""
    assert tokens().recognise(NAME, TOKEN)


def test_no_two_are_the_same() -> None:
    """One look-up of ours must not end the lease of the next."""
    replica = tokens()

    assert replica.make(NAME) != replica.make(NAME)


def test_one_is_for_one_name() -> None:
    """A token cannot be copied to the lease of another question."""
    assert not tokens().recognise(OTHER_NAME, TOKEN)


def test_another_secret_makes_others() -> None:
    """Gateways with another secret know other names anyway."""
    stranger = tokens(keys=derive_keys(SealingSecret("another secret, long enough")))

    assert not tokens().recognise(NAME, stranger.make(NAME).encode())


@given(st.binary(max_size=80))
@example(b"")
@example(TOKEN[:-1])
@example(TOKEN + b"0")
@example(TOKEN.upper().swapcase()[:-1] + b"\xff")
def test_what_nobody_has_made_is_not_recognised(planted: bytes) -> None:
    """A token that another program has put there is not recognised."""
    assert not tokens().recognise(NAME, planted)


@pytest.mark.parametrize("position", range(len(TOKEN)))
def test_one_that_was_changed_is_not_recognised(position: int) -> None:
    """Neither its instant, nor what makes it the only one, nor its seal."""
    changed = bytearray(TOKEN)
    changed[position] = ord("1") if changed[position] == ord("0") else ord("0")

    assert not tokens().recognise(NAME, bytes(changed))


@pytest.mark.parametrize(
    ("at", "recognised"),
    [
        (-LARGEST_SKEW, False),
        (-LARGEST_SKEW + INSTANT, True),
        (LONGEST + LARGEST_SKEW - INSTANT, True),
        (LONGEST + LARGEST_SKEW, False),
    ],
)
def test_one_is_good_while_its_look_up_may_be_under_way(at: timedelta, *, recognised: bool) -> None:
    """A token is good as long as a look-up takes, plus the tolerance for clocks; put back later it is worth nothing."""
    assert tokens(at).recognise(NAME, TOKEN) is recognised
