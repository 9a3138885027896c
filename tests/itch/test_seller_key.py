"""The seller's API key, and its file."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from service.errors import GatewayCredentialRefused, SettingsError
from service.itch.seller_key import KeySlot, SellerKeyRing
from service.secret import SellerKey
from service.settings import load_settings
from tests.clock import FakeClock
from tests.stores.descriptors import no_descriptor_left

OLD: Final = SellerKey("old-seller-key")
NEW: Final = SellerKey("new-seller-key")
NEXT: Final = SellerKey("next-seller-key")
A_SECOND: Final = timedelta(seconds=1)


class Reported:
    """The events that a key ring reported."""

    def __init__(self) -> None:
        self.reloaded: list[str] = []
        self.unreadable: list[str] = []
        self.switched: list[str] = []

    @property
    def reloads(self) -> int:
        """The number of keys that were read anew."""
        return len(self.reloaded)

    def ring(self, *slots: KeySlot, clock: FakeClock) -> SellerKeyRing:
        """Return a key ring that reports everything here."""
        return SellerKeyRing(
            slots,
            clock=clock,
            reloaded=self.reloaded.append,
            unreadable=lambda _, why: self.unreadable.append(why),
            switched=self.switched.append,
        )


def slot(file: Path | None = None, *, key: SellerKey = OLD) -> KeySlot:
    """Return a place for a key."""
    return KeySlot("itch.api_key" if key is OLD else "itch.next_api_key", key, file=file)


@pytest.fixture
def reported() -> Reported:
    """The events that the key ring of the test reported."""
    return Reported()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of the key, with the old one in it."""
    path = tmp_path / "api-key"
    path.write_text("old-seller-key\n")
    return path


@pytest.fixture
def ring(file: Path, clock: FakeClock, reported: Reported) -> SellerKeyRing:
    """A key ring with the old key and its file."""
    return reported.ring(slot(file), clock=clock)


def test_an_unchanged_file_changes_nothing(ring: SellerKeyRing, clock: FakeClock, reported: Reported) -> None:
    """An unchanged file is no event."""
    clock.jump(A_SECOND)

    assert ring.current() == OLD
    assert (reported.reloads, reported.unreadable) == (0, [])


def test_a_new_key_is_picked_up_within_a_second(
    ring: SellerKeyRing, file: Path, clock: FakeClock, reported: Reported
) -> None:
    """A new key in the file is used without a restart, and reported once."""
    file.write_text("  new-seller-key\n")
    clock.jump(A_SECOND)

    assert ring.current() == NEW
    assert ring.current() == NEW
    assert reported.reloads == 1


def test_the_file_is_not_looked_at_for_every_question(ring: SellerKeyRing, file: Path, clock: FakeClock) -> None:
    """The file is looked at once a second at most."""
    file.write_text("new-seller-key")
    clock.jump(A_SECOND * 0.9)

    assert ring.current() == OLD


def test_a_file_that_is_replaced_through_a_link_is_new(tmp_path: Path, clock: FakeClock, reported: Reported) -> None:
    """As a mounted secret is: same length, same times, another file."""
    for name, text in (("a", "old-seller-key"), ("b", "new-seller-key")):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (1, 1))
    link = tmp_path / "api-key"
    link.symlink_to("a")
    ring = reported.ring(slot(link), clock=clock)
    clock.jump(A_SECOND)
    assert ring.current() == OLD

    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").replace(link)
    clock.jump(A_SECOND)

    assert ring.current() == NEW


def test_a_key_that_changed_while_the_gateway_started_is_picked_up(
    file: Path, clock: FakeClock, reported: Reported
) -> None:
    """Between reading the settings and opening the gateway is time enough for a rotation."""
    file.write_text("new-seller-key")
    ring = reported.ring(slot(file), clock=clock)

    clock.jump(A_SECOND)

    assert ring.current() == NEW


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n",
        b"two words",
        b"two\nlines",
        b"nul\x00",
        b'"new-seller-key"',
        b"API_KEY=new-seller-key",
        b"export API_KEY='new-seller-key'",
        b"new-seller\r-key",
        "new\N{ZERO WIDTH SPACE}-seller-key".encode(),
        "new\N{NO-BREAK SPACE}-seller-key".encode(),
        "schlüssel".encode(),
        b"\xff\xfe",
        b"k" * 65_537,
    ],
)
def test_a_file_without_a_key_keeps_the_old_one(
    *, content: bytes, ring: SellerKeyRing, file: Path, clock: FakeClock, reported: Reported
) -> None:
    """A file without a key is reported once, without its contents, with the line that a start would end with."""
    file.write_bytes(content)

    for _ in range(3):
        clock.jump(A_SECOND)
        assert ring.current() == OLD

    with pytest.raises(SettingsError) as refusal:
        load_settings({"OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE": str(file)})
    assert reported.reloads == 0
    assert [f"OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE cannot be used: {why}" for why in reported.unreadable] == (
        refusal.value.mistakes
    )


@pytest.mark.parametrize(
    "content",
    [b"new-seller-key ", b"\t new-seller-key\r\n", b"\xef\xbb\xbfnew-seller-key\n", b"new-seller-key\xc2\xa0"],
)
def test_what_an_editor_leaves_around_a_key_is_taken_off(
    *, content: bytes, ring: SellerKeyRing, file: Path, clock: FakeClock
) -> None:
    """The key that is read again is the one that a start would read."""
    file.write_bytes(content)
    clock.jump(A_SECOND)

    assert ring.current() == NEW == load_settings({"OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE": str(file)}).itch.api_key


def test_what_is_no_file_is_not_read_again(
    ring: SellerKeyRing, file: Path, clock: FakeClock, reported: Reported
) -> None:
    """A pipe, or a terminal, was read at start; to open it again could take until someone writes."""
    file.unlink()
    file.symlink_to("/dev/zero")
    clock.jump(A_SECOND)

    assert (ring.current(), reported.unreadable) == (OLD, [])


def test_a_file_that_is_gone_keeps_the_old_key(
    ring: SellerKeyRing, file: Path, clock: FakeClock, reported: Reported
) -> None:
    """A missing file is reported once; when it is back, its key is used."""
    file.unlink()
    for _ in range(3):
        clock.jump(A_SECOND)
        assert ring.current() == OLD
    assert reported.unreadable == [f"reading {str(file)!r} fails: No such file or directory"]

    file.write_text("new-seller-key")
    clock.jump(A_SECOND)

    assert ring.current() == NEW


def test_a_file_that_becomes_readable_is_read(
    ring: SellerKeyRing, file: Path, clock: FakeClock, reported: Reported, tmp_path: Path
) -> None:
    """A change of who may read it counts as a change, though neither its text nor its date is another."""
    other = tmp_path / "next"
    other.mkdir()
    file.unlink()
    file.symlink_to(other)
    clock.jump(A_SECOND)
    assert ring.current() == OLD
    assert reported.unreadable == [f"reading {str(file)!r} fails: Is a directory"]

    status = other.stat()
    other.chmod(0o700 if status.st_mode & 0o077 else 0o755)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    clock.jump(A_SECOND)
    ring.current()

    assert reported.unreadable == [f"reading {str(file)!r} fails: Is a directory"] * 2


def test_a_refused_key_is_not_tried_for_five_seconds(clock: FakeClock, reported: Reported) -> None:
    """A dead key must not hammer the store; afterwards it gets another chance."""
    ring = reported.ring(slot(None), clock=clock)
    ring.refused(OLD)

    clock.jump(timedelta(seconds=4.9))
    with pytest.raises(GatewayCredentialRefused):
        ring.current()
    clock.jump(timedelta(seconds=0.1))

    assert ring.current() == OLD


def test_an_accepted_key_is_tried_again_at_once(ring: SellerKeyRing) -> None:
    """One that was refused meanwhile, and was then accepted after all."""
    ring.refused(OLD)
    ring.accepted(OLD)

    assert ring.current() == OLD


def test_a_new_key_is_tried_at_once(ring: SellerKeyRing, file: Path, clock: FakeClock) -> None:
    """A new key is tried at once, even if the old one was refused a moment ago."""
    ring.refused(OLD)
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)

    assert ring.current() == NEW


def test_the_same_key_in_a_changed_file_is_still_dead(
    ring: SellerKeyRing, file: Path, clock: FakeClock, reported: Reported
) -> None:
    """A refused key is not tried again because its file has another date."""
    ring.refused(OLD)
    file.write_text("old-seller-key ")
    clock.jump(A_SECOND)

    with pytest.raises(GatewayCredentialRefused):
        ring.current()
    assert reported.reloads == 0


def test_a_late_refusal_of_the_old_key_is_none_of_the_new_one(
    ring: SellerKeyRing, file: Path, clock: FakeClock
) -> None:
    """A request with the old key may still have been under way."""
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)
    ring.current()

    ring.refused(OLD)

    assert ring.current() == NEW


def test_a_late_refusal_of_a_replaced_key_prolongs_no_wait(ring: SellerKeyRing, file: Path, clock: FakeClock) -> None:
    """The new one, refused as well, is tried again five seconds after its own refusal."""
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)
    ring.accepted(ring.current())
    ring.refused(ring.current())
    clock.jump(A_SECOND * 3)

    assert ring.refused(OLD) is None
    clock.jump(A_SECOND * 2)

    assert ring.current() == NEW


def test_a_late_answer_to_a_replaced_key_says_nothing_about_the_new_one(
    ring: SellerKeyRing, file: Path, clock: FakeClock
) -> None:
    """The new one is still refused."""
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)
    ring.accepted(ring.current())
    ring.refused(ring.current())

    accepted = ring.accepted(OLD), ring.accepted(NEW)

    assert accepted == (False, True)


def test_a_late_answer_to_a_replaced_key_revives_none(ring: SellerKeyRing, file: Path, clock: FakeClock) -> None:
    """The new one, which was refused, still waits."""
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)
    ring.accepted(ring.current())
    ring.refused(ring.current())

    ring.accepted(OLD)

    with pytest.raises(GatewayCredentialRefused):
        ring.current()


def test_a_late_answer_to_a_replaced_key_switches_to_none(file: Path, clock: FakeClock, reported: Reported) -> None:
    """An acceptance of the old key says nothing about the key in its place."""
    ring = reported.ring(slot(key=NEXT), slot(file), clock=clock)
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)
    ring.current()
    ring.refused(NEXT)

    ring.accepted(OLD)

    assert reported.switched == []


def test_what_is_raised_shows_no_key(ring: SellerKeyRing) -> None:
    """Neither the exception nor the ring shows a key."""
    ring.refused(OLD)

    with pytest.raises(GatewayCredentialRefused) as raised:
        ring.current()

    assert OLD.reveal() not in repr(raised.value) + str(raised.value) + repr(vars(ring))


@pytest.fixture
def two(clock: FakeClock, reported: Reported) -> SellerKeyRing:
    """A key ring with two keys, of which the first is in use."""
    return reported.ring(slot(), slot(key=NEXT), clock=clock)


def test_the_first_key_is_in_use(two: SellerKeyRing) -> None:
    """The first key is used until the store refuses it."""
    assert two.current() == OLD


def test_the_other_key_is_to_be_tried_at_once(two: SellerKeyRing) -> None:
    """The question that was refused tries the other key, and so does the next question."""
    assert two.refused(OLD) == NEXT
    assert two.current() == NEXT


def test_the_ring_stays_with_the_key_that_works(two: SellerKeyRing, reported: Reported, clock: FakeClock) -> None:
    """The switch is reported once, and the refused key is left alone for good."""
    two.refused(OLD)
    two.accepted(NEXT)
    two.accepted(NEXT)
    clock.jump(timedelta(days=1))

    assert two.current() == NEXT
    assert reported.switched == ["itch.next_api_key"]


def test_a_late_answer_to_the_old_key_changes_nothing(two: SellerKeyRing, reported: Reported) -> None:
    """The request was sent before the key was revoked."""
    two.refused(OLD)
    two.accepted(NEXT)

    two.accepted(OLD)

    assert two.current() == NEXT
    assert reported.switched == ["itch.next_api_key"]


def test_with_both_refused_there_is_none_to_try(two: SellerKeyRing) -> None:
    two.refused(OLD)

    assert two.refused(NEXT) is None
    with pytest.raises(GatewayCredentialRefused):
        two.current()


def test_after_five_seconds_one_of_them_is_tried_by_one_question(two: SellerKeyRing, clock: FakeClock) -> None:
    """The other questions fail at once."""
    two.refused(OLD)
    clock.jump(timedelta(milliseconds=100))
    two.refused(NEXT)
    clock.jump(timedelta(seconds=5))

    assert two.current() == OLD
    with pytest.raises(GatewayCredentialRefused):
        two.current()


def test_dead_keys_take_turns(two: SellerKeyRing, clock: FakeClock) -> None:
    """Either may be the one that comes back."""
    two.refused(OLD)
    clock.jump(timedelta(milliseconds=100))
    two.refused(NEXT)
    tried = []
    for _ in range(4):
        clock.jump(timedelta(seconds=5))
        tried.append(two.current())
        assert two.refused(tried[-1]) is None

    assert tried == [OLD, NEXT, OLD, NEXT]


def test_a_new_key_in_either_file_ends_the_wait(file: Path, clock: FakeClock, reported: Reported) -> None:
    """After a change of either file only the new key is tried."""
    ring = reported.ring(slot(), KeySlot("itch.next_api_key", NEXT, file=file), clock=clock)
    ring.refused(OLD)
    ring.refused(NEXT)
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)

    assert ring.current() == NEW
    assert reported.reloaded == ["itch.next_api_key"]


def test_two_places_may_hold_the_same_key(clock: FakeClock, reported: Reported) -> None:
    """As at the end of a rotation: refusing the one is refusing the other."""
    ring = reported.ring(slot(), KeySlot("itch.next_api_key", OLD, file=None), clock=clock)

    assert ring.refused(OLD) is None


def test_a_question_refused_with_a_key_that_was_replaced_meanwhile_tries_the_new_one(
    ring: SellerKeyRing, file: Path, clock: FakeClock
) -> None:
    """The file changed while the question was under way."""
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)
    ring.current()

    assert ring.refused(OLD) == NEW


def test_a_file_is_read_once_there_are_descriptors_again(reported: Reported, file: Path, clock: FakeClock) -> None:
    """A gateway without a descriptor left does not say that the file is unreadable, and does not forget to read it."""
    ring = reported.ring(slot(file), clock=clock)
    clock.jump(A_SECOND)
    ring.current()
    file.write_text("new-seller-key-that-is-longer")
    clock.jump(A_SECOND)
    with no_descriptor_left():
        meanwhile = ring.current()
    clock.jump(A_SECOND)

    assert (meanwhile, ring.current()) == (OLD, SellerKey("new-seller-key-that-is-longer"))
    assert (reported.reloads, reported.unreadable) == (1, [])


def test_the_keys_held_are_those_in_the_files_now(reported: Reported, file: Path, clock: FakeClock) -> None:
    """Asking for them reads the files, as asking for the key to use does."""
    ring = reported.ring(slot(file), slot(key=NEXT), clock=clock)
    before = ring.held()
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)

    assert (before, ring.held()) == ([OLD, NEXT], [NEW, NEXT])


def test_a_new_key_that_is_refused_is_not_the_end_of_the_old_one(
    ring: SellerKeyRing, file: Path, clock: FakeClock, reported: Reported
) -> None:
    """A key that was cut in half when it was written down keeps no player out."""
    ring.accepted(OLD)
    file.write_text("new-seller-ke")
    clock.jump(A_SECOND)
    mistaken = ring.current()

    assert mistaken == SellerKey("new-seller-ke")
    assert ring.refused(mistaken) == OLD
    assert ring.accepted(OLD)
    assert ring.current() == OLD
    assert (reported.reloads, reported.switched) == (1, ["itch.api_key before it changed"])


def test_a_new_key_that_is_accepted_is_the_end_of_the_old_one(
    ring: SellerKeyRing, file: Path, clock: FakeClock
) -> None:
    """An operator who has replaced a key does not expect it to be used again."""
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)
    ring.accepted(ring.current())

    assert ring.refused(NEW) is None
    assert not ring.accepted(OLD)


def test_a_mistaken_key_is_mended_by_the_next_one(
    ring: SellerKeyRing, file: Path, clock: FakeClock, reported: Reported
) -> None:
    """The key that worked last stays until one is accepted, however many are refused meanwhile."""
    for mistake in ("first-mistake", "second-mistake"):
        file.write_text(mistake)
        clock.jump(A_SECOND)
        assert ring.refused(ring.current()) == OLD
        ring.accepted(OLD)

    file.write_text("new-seller-key")
    clock.jump(A_SECOND)
    assert ring.current() == NEW
    ring.accepted(NEW)

    assert not ring.accepted(OLD)
    assert reported.reloads == 3


def test_a_key_that_was_refused_before_another_was_read_does_not_come_back(
    ring: SellerKeyRing, file: Path, clock: FakeClock
) -> None:
    """There is no use in going back to it."""
    ring.refused(OLD)
    file.write_text("new-seller-key")
    clock.jump(A_SECOND)

    assert ring.refused(ring.current()) is None
