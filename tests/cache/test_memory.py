"""The first tier stays within its bounds, and the newest observation wins."""

import tracemalloc
from datetime import timedelta

import pytest
from msgspec.structs import replace

from service.cache.entry import CLOCK_TOLERANCE
from service.cache.memory import MemoryTier
from service.ownership import Evidence, Fingerprint, Observation, Overruled
from service.settings import Settings
from tests.cache.samples import DAY, NAME, OTHER_NAME, SECOND, entry, identity, name_of, no, refusal, yes
from tests.clock import START, FakeClock


def seen(memory: MemoryTier, name: Fingerprint) -> Observation | None:
    """Return what is remembered under that name."""
    remembered = memory.peek(name)
    return None if remembered is None else remembered.observation


def test_what_was_put_is_remembered(memory: MemoryTier) -> None:
    """A get after a put returns the observation."""
    memory.put(NAME, entry(yes()))

    assert seen(memory, NAME) == yes()


def test_other_names_are_not_touched(memory: MemoryTier) -> None:
    """An observation is remembered under its own name only."""
    memory.put(NAME, entry(yes()))

    assert seen(memory, OTHER_NAME) is None


def test_nothing_is_used_past_its_time(memory: MemoryTier, clock: FakeClock) -> None:
    """At `keep_until` an observation is gone, a moment before it is there."""
    memory.put(NAME, entry(yes(), DAY))

    clock.jump(DAY - SECOND)
    before = seen(memory, NAME)
    clock.jump(SECOND)

    assert (before, seen(memory, NAME)) == (yes(), None)


@pytest.mark.parametrize("newer", [yes(START, id=2), no(START), refusal(START)])
def test_newer_replaces_older(memory: MemoryTier, newer: Observation) -> None:
    """The later observation wins, yes or no."""
    memory.put(NAME, entry(yes(START - SECOND, id=1)))

    winner = memory.put(NAME, entry(newer))

    assert winner.observation == seen(memory, NAME) == newer


@pytest.mark.parametrize("older", [yes(START - SECOND), no(START - SECOND)])
@pytest.mark.parametrize("newer", [yes(), no()])
def test_older_does_not_replace_newer(memory: MemoryTier, older: Evidence, newer: Evidence) -> None:
    """A look-up that was slow does not undo one that began after it."""
    memory.put(NAME, entry(newer))

    winner = memory.put(NAME, entry(older))

    assert winner.observation == seen(memory, NAME) == newer


@pytest.mark.parametrize("order", [(yes(), no()), (no(), yes())])
def test_at_the_same_instant_the_no_wins(memory: MemoryTier, order: tuple[Evidence, Evidence]) -> None:
    """The order of the two makes no difference: doubt is not in the player's favour."""
    for observation in order:
        memory.put(NAME, entry(observation))

    assert seen(memory, NAME) == no()


def test_a_no_still_beats_an_older_yes_when_it_has_run_out(memory: MemoryTier, clock: FakeClock) -> None:
    """A refunded player does not own the game again once the no is no longer fresh."""
    memory.put(NAME, entry(no(), timedelta(seconds=45)))
    clock.jump(timedelta(seconds=46))

    winner = memory.put(NAME, entry(yes(START - SECOND)))

    assert (winner.observation, seen(memory, NAME)) == (no(), None)


def test_a_no_that_has_run_out_is_not_pushed_out_by_others(memory: MemoryTier, clock: FakeClock) -> None:
    """An expired no stays while there is room: another tier may have an older yes."""
    memory.put(NAME, entry(no(), timedelta(seconds=45)))
    clock.jump(timedelta(seconds=46))
    memory.put(OTHER_NAME, entry(no(clock.now())))

    winner = memory.put(NAME, entry(yes(START - SECOND)))

    assert winner.observation == no()


def test_a_no_without_any_lifetime_ends_a_yes(memory: MemoryTier) -> None:
    """A refusal evicts the yes before it even if refusals are cached for no time at all."""
    memory.put(NAME, entry(yes(START - SECOND)))

    memory.put(NAME, entry(no(), timedelta(0)))

    assert seen(memory, NAME) is None


def test_an_observation_of_the_future_is_not_used(memory: MemoryTier, clock: FakeClock) -> None:
    """After the clock was set back by more than five seconds, what was observed before is not believed."""
    memory.put(NAME, entry(yes()))

    clock.set_back(CLOCK_TOLERANCE)
    tolerated = seen(memory, NAME)
    clock.set_back(SECOND)

    assert (tolerated, seen(memory, NAME)) == (yes(), None)


def test_an_observation_of_the_future_keeps_nothing_out(memory: MemoryTier) -> None:
    """An observation from the future, which is not believed, makes room for one that is."""
    memory.put(NAME, entry(no(START + DAY)))

    memory.put(NAME, entry(yes()))

    assert seen(memory, NAME) == yes()


def test_a_clock_that_was_ahead(memory: MemoryTier, clock: FakeClock) -> None:
    """All is older by as much, also the proof beside a no; the end of a token, and the bytes, stay as they are."""
    two_minutes = 120 * SECOND
    ahead = START + two_minutes
    beside = replace(no(ahead), overruled=Overruled(yes(ahead - SECOND), since=ahead))
    made: list[Observation] = [yes(ahead), beside, refusal(ahead), replace(identity(ahead), expires_at=ahead)]
    for number, observation in enumerate(made):
        memory.put(name_of(number), entry(observation))
    taken = memory.bytes
    unbelievable = [seen(memory, name_of(number)) for number in range(len(made))]
    memory.set_back(two_minutes)

    assert unbelievable == [None] * len(made)
    assert [seen(memory, name_of(number)) for number in range(len(made))] == [
        yes(START),
        replace(no(START), overruled=Overruled(yes(START - SECOND), since=START)),
        refusal(START),
        replace(identity(START), expires_at=ahead),
    ]
    assert memory.bytes == taken
    clock.jump(DAY - SECOND)
    assert seen(memory, name_of(0)) == yes(START)
    clock.jump(SECOND)
    assert seen(memory, name_of(0)) is None


def test_the_least_recently_used_makes_room(clock: FakeClock) -> None:
    """Of four entries with room for three, the one that was not asked for is evicted."""
    memory = MemoryTier(max_entries=4, max_bytes=1_000_000, clock=clock)
    for number in range(3):
        memory.put(name_of(number), entry(yes()))
    memory.peek(name_of(0))

    memory.put(name_of(3), entry(yes()))

    assert [seen(memory, name_of(number)) is not None for number in range(4)] == [True, False, True, True]


def test_bytes_are_bounded(clock: FakeClock) -> None:
    """However many entries there may be, their estimated size stays within the budget."""
    memory = MemoryTier(max_entries=1_000_000, max_bytes=100_000, clock=clock)
    for number in range(1000):
        memory.put(name_of(number), entry(yes()))

    assert 0 < memory.bytes <= 100_000


def test_refusals_cannot_evict_owners(clock: FakeClock) -> None:
    """A flood of wrong keys evicts other wrong keys, and no owners."""
    memory = MemoryTier(max_entries=100, max_bytes=1_000_000, clock=clock)
    for number in range(75):
        memory.put(name_of(number), entry(yes()))

    for number in range(1000, 11_000):
        memory.put(name_of(number), entry(no() if number % 2 else refusal()))

    assert all(seen(memory, name_of(number)) for number in range(75))
    assert memory.entries == 100


def test_refusals_cannot_evict_the_proof_beside_a_no(clock: FakeClock) -> None:
    """It may count again."""
    memory = MemoryTier(max_entries=100, max_bytes=1_000_000, clock=clock)
    contradicting = replace(no(), overruled=Overruled(yes(), START))
    memory.put(NAME, entry(contradicting))

    for number in range(1000, 11_000):
        memory.put(name_of(number), entry(no()))

    assert seen(memory, NAME) == contradicting
    assert not memory.has_usable_yes(NAME)


def test_room_is_given_back_when_the_answer_changes(clock: FakeClock) -> None:
    """A name takes the room of one entry, also after its answer has changed."""
    memory = MemoryTier(max_entries=100, max_bytes=1_000_000, clock=clock)
    for second in range(10):
        memory.put(NAME, entry(yes(START + second * SECOND) if second % 2 else no(START + second * SECOND)))

    once = MemoryTier(max_entries=100, max_bytes=1_000_000, clock=clock)
    once.put(NAME, entry(yes()))

    assert (memory.entries, memory.bytes) == (1, once.bytes)


def test_what_has_run_out_does_not_wait_to_be_evicted(memory: MemoryTier, clock: FakeClock) -> None:
    """Old entries go when new ones come, though there is room for both."""
    memory.put(name_of(1), entry(yes(), DAY))
    memory.put(name_of(2), entry(yes(), DAY))
    clock.jump(DAY)

    memory.put(name_of(3), entry(yes(clock.now())))

    assert memory.entries == 1


def test_a_no_is_forgotten_after_the_longest_time_a_yes_could_last(memory: MemoryTier, clock: FakeClock) -> None:
    """Three days later nothing older can be left anywhere, and the no is needed no more."""
    memory.put(name_of(1), entry(no(), SECOND))
    clock.jump(3 * DAY)

    memory.put(name_of(2), entry(no(clock.now()), SECOND))

    assert memory.entries == 1


def test_the_estimate_is_about_what_an_entry_takes(clock: FakeClock) -> None:
    """The budget in bytes means something: real memory is a fifth more or less, as dictionaries grow by leaps."""
    memory = MemoryTier(max_entries=1_000_000, max_bytes=1_000_000_000, clock=clock)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(2000):
        memory.put(name_of(number), entry(yes(START + number * timedelta(microseconds=1), id=10_000 + number)))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 0.8 < (after - before) / memory.bytes < 1.2


def test_the_default_bounds_fit_each_other(clock: FakeClock) -> None:
    """A hundredth of the memory that is there by default holds about a hundredth of the entries there may be."""
    settings = Settings(secret=None)
    entries = settings.cache.max_entries // 100
    max_bytes = settings.cache.max_mebibytes * 1024 * 1024 // 100
    memory = MemoryTier(max_entries=entries, max_bytes=max_bytes, clock=clock)

    for number in range(entries):
        memory.put(name_of(number), entry(yes(id=100_000_000 + number)))
        memory.put(name_of(entries + number), entry(no()))

    assert 0.95 * entries < memory.entries <= entries
