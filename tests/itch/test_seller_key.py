"""The seller's API key, and its file."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from service.errors import GatewayCredentialRefused
from service.itch.seller_key import SellerKeyRing
from service.secret import SellerKey
from tests.clock import FakeClock

OLD: Final = SellerKey("old-seller-key")
NEW: Final = SellerKey("new-seller-key")
A_SECOND: Final = timedelta(seconds=1)


class Told:
    """What a key ring told of."""

    def __init__(self) -> None:
        self.reloads = 0
        self.unreadable: list[str] = []

    def reloaded(self) -> None:
        """Another key was read."""
        self.reloads += 1


@pytest.fixture
def told() -> Told:
    """What the key ring of the test told of."""
    return Told()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of the key, with the old one in it."""
    path = tmp_path / "api-key"
    path.write_text("old-seller-key\n")
    return path


@pytest.fixture
def ring(file: Path, clock: FakeClock, told: Told) -> SellerKeyRing:
    """A key ring with the old key and its file."""
    return SellerKeyRing(OLD, file=file, clock=clock, reloaded=told.reloaded, unreadable=told.unreadable.append)


def test_an_unchanged_file_changes_nothing(ring: SellerKeyRing, clock: FakeClock, told: Told) -> None:
    """Nobody is told anything."""
    clock.jump(A_SECOND)

    assert ring.current() == OLD
    assert (told.reloads, told.unreadable) == (0, [])


def test_a_new_key_is_picked_up_within_a_second(ring: SellerKeyRing, file: Path, clock: FakeClock, told: Told) -> None:
    """Without a restart, told of once."""
    file.write_text("  new-seller-key\n")
    clock.jump(A_SECOND)

    assert ring.current() == NEW
    assert ring.current() == NEW
    assert told.reloads == 1


def test_the_file_is_not_looked_at_for_every_question(ring: SellerKeyRing, file: Path, clock: FakeClock) -> None:
    """Once a second is enough."""
    file.write_text("new-seller-key")
    clock.jump(A_SECOND * 0.9)

    assert ring.current() == OLD


def test_a_file_that_is_replaced_through_a_link_is_new(tmp_path: Path, clock: FakeClock, told: Told) -> None:
    """As a mounted secret is: same length, same times, another file."""
    for name, text in (("a", "old-seller-key"), ("b", "new-seller-key")):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (1, 1))
    link = tmp_path / "api-key"
    link.symlink_to("a")
    ring = SellerKeyRing(OLD, file=link, clock=clock, reloaded=told.reloaded, unreadable=told.unreadable.append)
    clock.jump(A_SECOND)
    assert ring.current() == OLD

    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").replace(link)
    clock.jump(A_SECOND)

    assert ring.current() == NEW


def test_a_key_that_changed_while_the_gateway_started_is_picked_up(file: Path, clock: FakeClock, told: Told) -> None:
    """Between reading the settings and opening the gateway is time enough for a rotation."""
    file.write_text("new-seller-key")
    ring = SellerKeyRing(OLD, file=file, clock=clock, reloaded=told.reloaded, unreadable=told.unreadable.append)

    clock.jump(A_SECOND)

    assert ring.current() == NEW


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file holds no key"),
        (b" \n", "the file holds no key"),
        (b"two words", "the file holds no key"),
        (b"two\nlines", "the file holds no key"),
        (b"nul\x00", "the file holds no key"),
        (b"\xff\xfe", "UnicodeDecodeError"),
    ],
)
def test_a_file_without_a_key_keeps_the_old_one(
    *, content: bytes, why: str, ring: SellerKeyRing, file: Path, clock: FakeClock, told: Told
) -> None:
    """Told of once, without what the file holds."""
    file.write_bytes(content)

    for _ in range(3):
        clock.jump(A_SECOND)
        assert ring.current() == OLD

    assert (told.reloads, told.unreadable) == (0, [why])


def test_a_file_that_is_gone_keeps_the_old_key(ring: SellerKeyRing, file: Path, clock: FakeClock, told: Told) -> None:
    """Told of once; when the file is back, its key is used."""
    file.unlink()
    for _ in range(3):
        clock.jump(A_SECOND)
        assert ring.current() == OLD
    assert told.unreadable == ["FileNotFoundError"]

    file.write_text("new-seller-key")
    clock.jump(A_SECOND)

    assert ring.current() == NEW


def test_a_file_that_becomes_readable_is_read(
    ring: SellerKeyRing, file: Path, clock: FakeClock, told: Told, tmp_path: Path
) -> None:
    """A change of who may read it counts as a change, though neither its text nor its date is another."""
    other = tmp_path / "next"
    other.mkdir()
    file.unlink()
    file.symlink_to(other)
    clock.jump(A_SECOND)
    assert ring.current() == OLD
    assert told.unreadable == ["IsADirectoryError"]

    status = other.stat()
    other.chmod(0o700 if status.st_mode & 0o077 else 0o755)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    clock.jump(A_SECOND)
    ring.current()

    assert told.unreadable == ["IsADirectoryError"] * 2


def test_a_refused_key_is_not_tried_for_five_seconds(clock: FakeClock, told: Told) -> None:
    """A dead key must not hammer the store; afterwards it gets another chance."""
    ring = SellerKeyRing(OLD, file=None, clock=clock, reloaded=told.reloaded, unreadable=told.unreadable.append)
    ring.refused(OLD)

    clock.jump(timedelta(seconds=4.9))
    with pytest.raises(GatewayCredentialRefused):
        ring.current()
    clock.jump(timedelta(seconds=0.1))

    assert ring.current() == OLD


def test_an_accepted_key_is_tried_again_at_once(ring: SellerKeyRing) -> None:
    """One that was refused meanwhile, and was then accepted after all."""
    ring.refused(OLD)
    ring.accepted()

    assert ring.current() == OLD


def test_a_new_key_is_tried_at_once(ring: SellerKeyRing, file: Path, clock: FakeClock) -> None:
    """Whatever happened to the old one."""
    ring.refused(OLD)
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)

    assert ring.current() == NEW


def test_the_same_key_in_a_changed_file_is_still_dead(
    ring: SellerKeyRing, file: Path, clock: FakeClock, told: Told
) -> None:
    """Only another key is worth trying."""
    ring.refused(OLD)
    file.write_text("old-seller-key ")
    clock.jump(A_SECOND)

    with pytest.raises(GatewayCredentialRefused):
        ring.current()
    assert told.reloads == 0


def test_a_late_refusal_of_the_old_key_is_none_of_the_new_one(
    ring: SellerKeyRing, file: Path, clock: FakeClock
) -> None:
    """A request with the old key may still have been under way."""
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)
    ring.current()

    ring.refused(OLD)

    assert ring.current() == NEW


def test_what_is_raised_shows_no_key(ring: SellerKeyRing) -> None:
    """Neither does the ring itself."""
    ring.refused(OLD)

    with pytest.raises(GatewayCredentialRefused) as raised:
        ring.current()

    assert OLD.reveal() not in repr(raised.value) + str(raised.value) + repr(vars(ring))
