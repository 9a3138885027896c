"""A gateway that reads its configuration file again while it answers: all of a new content holds, or nothing of it."""

import asyncio
import logging
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import httpx
import pytest
from msgspec.structs import asdict, replace

from service.api.paths import OVERRIDES_PATH
from service.ownership import PlayerId
from service.sandbox import seed
from service.settings import FileContent, GameSettings, Reread, Settings, SettingsReader
from service.settings.model import LogLevel
from service.wiring.reload import LOOK_EVERY
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, befall, caller_lines, opened, states_of, store_calls, until

LOBBY: Final = "ogw_lobby-lobby-lobby-lobby-lobby-lobby-lobby-lo"
ARENA: Final = "ogw_arena-arena-arena-arena-arena-arena-arena-ar"
BANNED: Final = f"{X_MOON}ban_user_ids = [{seed.OWNER_ID}]\n"
OTHER_GAME: Final = "\n[games.sun-garden]\nid = 4\n"
PLACE: Final = "gateway.toml"


class Follower:
    """A gateway with a file, and the file."""

    def __init__(self, asker: Asker, file: Path) -> None:
        self.asker = asker
        self.file = file

    async def reload(self, toml: str | None, *, said: str = "configuration_reloaded") -> dict[str, Any]:
        """Write the file, or remove it, have it read at once, and return the line that says what came of it."""
        before = len(self.asker.log.lines(said))
        if toml is None:
            self.file.unlink()
        else:
            self.file.write_text(toml, encoding="utf-8")
        self.asker.gateway.reload()
        await until(lambda: len(self.asker.log.lines(said)) > before)
        return self.asker.log.lines(said)[-1]

    async def until_seen(self, toml: str, clock: FakeClock) -> None:
        """Write the file, and return once the gateway has found it by itself, and taken or refused it."""

        def lines() -> int:
            return sum(len(self.asker.log.lines(f"configuration_{said}")) for said in ("reloaded", "refused"))

        before = lines()
        self.file.write_text(toml, encoding="utf-8")
        async with asyncio.timeout(30):
            while lines() == before:
                await clock.advance(LOOK_EVERY)
                await asyncio.sleep(0.001)


class Following:
    """Opens gateways that follow their file."""

    def __init__(self, stack: AsyncExitStack, directory: Path, clock: FakeClock, log: LogLines) -> None:
        self._stack = stack
        self._file = directory / PLACE
        self._clock = clock
        self._log = log

    async def __call__(self, toml: str, *, kind: type[SettingsReader] = SettingsReader, **more: Any) -> Follower:
        self._file.write_text(toml, encoding="utf-8")
        reader = kind({}, config_file=self._file, flags={"sandbox": "true"})
        settings: Settings = reader.read()
        asker = await self._stack.enter_async_context(
            opened(settings, clock=self._clock, log=self._log, reader=reader, **more)
        )
        return Follower(asker, self._file)


@pytest.fixture
async def follow(tmp_path: Path, clock: FakeClock, log: LogLines) -> AsyncIterator[Following]:
    """Open gateways with a file."""
    async with AsyncExitStack() as stack:
        yield Following(stack, tmp_path, clock, log)


def outcomes(answers: Sequence[httpx.Response]) -> list[str]:
    """Return what was answered: the outcome, else the code of the problem."""
    return [body.get("outcome", body.get("code")) for body in (answer.json() for answer in answers)]


# What is new holds.


async def test_a_ban_holds_from_the_next_question_on(follow: Following) -> None:
    """It is looked up no more for that, and the line names the game."""
    gateway = await follow(X_MOON)
    before = await gateway.asker.user(seed.OWNER_ID)

    line = await gateway.reload(BANNED)
    after = await gateway.asker.user(seed.OWNER_ID)

    assert outcomes([before, after]) == ["owned", "banned"]
    assert (line["changed"], line["needs_restart"]) == (["games.x-moon"], [])
    assert await gateway.asker.metric("configuration_ok") == 1


async def test_games_come_and_go(follow: Following) -> None:
    """A game that is gone is 404, by slug and by id; a new one is answered, and counted under its name."""
    gateway = await follow(X_MOON)

    line = await gateway.reload(OTHER_GAME)
    gone = [await gateway.asker.user(seed.OWNER_ID, game=game) for game in ("x-moon", 3)]
    come = await gateway.asker.user(seed.OWNER_ID, game="sun-garden")

    assert line["changed"] == ["games.x-moon", "games.sun-garden"]
    assert [answer.status_code for answer in gone] == [404, 404]
    assert come.status_code == 200
    assert await gateway.asker.metric("game_answers_total", game="sun-garden") == 1


async def test_another_id_under_the_same_name(follow: Following) -> None:
    """All that is another about a game holds at once."""
    gateway = await follow(X_MOON)

    await gateway.reload(X_MOON.replace("3", "4"))

    assert (await gateway.asker.user(seed.OWNER_ID, game="x-moon")).json()["game_id"] == 4
    assert (await gateway.asker.user(seed.OWNER_ID, game=3)).status_code == 404


async def test_callers_come_and_go(follow: Following) -> None:
    """A caller that is gone is refused also on the connection that it has open; a new one is let in."""
    gateway = await follow(X_MOON + caller_lines("lobby", LOBBY))
    before = [await gateway.asker.user(seed.OWNER_ID, token=token) for token in (LOBBY, ARENA)]

    line = await gateway.reload(X_MOON + caller_lines("arena", ARENA))
    after = [await gateway.asker.user(seed.OWNER_ID, token=token) for token in (LOBBY, ARENA)]
    batch = await gateway.asker.batch({"id": "a", "method": "user", "game": 3, "user_id": 1}, token=LOBBY)

    assert [answer.status_code for answer in [*before, *after, batch]] == [200, 401, 401, 200, 401]
    assert line["changed"] == ["callers[lobby]", "callers[arena]"]


async def test_rights_and_games_of_a_caller(follow: Following) -> None:
    """The file as it is now says what a caller may do, in every kind of request."""
    gateway = await follow(X_MOON + OTHER_GAME + caller_lines("lobby", LOBBY))
    await gateway.asker.user(seed.OWNER_ID, token=LOBBY)

    await gateway.reload(
        X_MOON + OTHER_GAME + caller_lines("lobby", LOBBY, games='["sun-garden"]', rights='["verify", "assert:user"]')
    )
    item = {"id": "a", "method": "user", "game": 3, "user_id": 1}
    batch = await gateway.asker.batch(item, token=LOBBY)
    forget = await gateway.asker.http.post(
        "/admin/invalidate", json={"game": 4}, headers={"authorization": f"Bearer {LOBBY}"}
    )

    assert (await gateway.asker.user(seed.OWNER_ID, token=LOBBY)).status_code == 403
    assert (await gateway.asker.user(seed.OWNER_ID, token=LOBBY, game=4)).status_code == 200
    assert batch.json()["results"][0]["status"] == 403
    assert forget.status_code == 403


async def test_the_first_caller_closes_the_door(follow: Following) -> None:
    """With callers in the file a token is needed."""
    gateway = await follow(X_MOON)

    await gateway.reload(X_MOON + caller_lines("lobby", LOBBY))

    assert (await gateway.asker.user(seed.OWNER_ID)).status_code == 401
    assert (await gateway.asker.user(seed.OWNER_ID, token=LOBBY)).status_code == 200


# What stays.


async def test_what_a_caller_has_used_up_stays(follow: Following) -> None:
    """A caller that has no question left has none after a reload, and as many more as its new rate has more."""
    lines = caller_lines("lobby", LOBBY, rate="1")
    gateway = await follow(X_MOON + lines)

    async def statuses(count: int) -> list[int]:
        return [(await gateway.asker.user(seed.OWNER_ID, token=LOBBY)).status_code for _ in range(count)]

    first = await statuses(3)
    await gateway.reload(BANNED + lines)
    same_rate = await statuses(1)
    await gateway.reload(BANNED + caller_lines("lobby", LOBBY, rate="2"))
    higher_rate = await statuses(3)
    await gateway.reload(BANNED + caller_lines("lobby", LOBBY, rate="0.5"))
    lower_rate = await statuses(1)

    assert (first, same_rate, higher_rate, lower_rate) == ([200, 200, 429], [429], [200, 200, 429], [429])


async def test_failed_keys_stay_spent(follow: Following) -> None:
    """One more failed key a minute is one more, and not two."""
    gateway = await follow(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    answers = [await gateway.asker.key(f"a-guess-of-a-key-{number}", token=LOBBY) for number in range(2)]

    await gateway.reload(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="2"))
    answers += [await gateway.asker.key(f"one-more-guess-of-a-key-{number}", token=LOBBY) for number in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429, 200, 429]


async def test_what_is_remembered_about_players_stays(follow: Following) -> None:
    """A reload asks the store nothing."""
    gateway = await follow(X_MOON)
    await gateway.asker.user(seed.OWNER_ID)
    before = store_calls(gateway.asker.sandbox)

    await gateway.reload(X_MOON + "grant_press = true\n")
    answer = await gateway.asker.user(seed.OWNER_ID)

    assert (answer.json()["outcome"], answer.json()["cache"]) == ("owned", "memory")
    assert store_calls(gateway.asker.sandbox) == before


async def test_a_question_under_way_keeps_its_configuration(follow: Following) -> None:
    """Alone or in a batch, what began before the file was read again is answered as it began."""
    gateway = await follow(X_MOON)
    befall(gateway.asker.sandbox, latency_ms=2000)
    item = {"method": "user", "game": "x-moon", "user_id": seed.OWNER_ID}
    asking = asyncio.create_task(gateway.asker.user(seed.OWNER_ID, deadline_ms=10_000))
    batching = asyncio.create_task(gateway.asker.batch({"id": "a", "deadline_ms": 10_000, **item}))
    await until(lambda: store_calls(gateway.asker.sandbox))

    await gateway.reload(OTHER_GAME)
    later = await gateway.asker.user(seed.OWNER_ID, game="x-moon")
    while not (asking.done() and batching.done()):
        await gateway.asker.clock.advance(timedelta(seconds=1))

    assert outcomes([await asking]) == ["owned"]
    assert (await batching).json()["results"][0]["decision"]["outcome"] == "owned"
    assert later.status_code == 404


# All or nothing.

CALLER: Final = caller_lines("lobby", LOBBY)
MISTAKES: Final = {
    "cut": (X_MOON + CALLER[:-30], "gateway.toml is not TOML: look at end of document"),
    "empty": ("", "gateway.toml is empty"),
    "only a comment": ("# nothing\n", "gateway.toml is empty"),
    "gone": (None, "cannot be read: No such file or directory"),
    "without callers": (
        BANNED,
        "gateway.toml has no [[callers]] any more: without any, everybody may ask; keep one at least",
    ),
    "cut before the games": (
        CALLER,
        "gateway.toml has no [games] any more: keep one at least, or restart to go without",
    ),
    "one mistake": (BANNED + CALLER + "rate = -5\n", "callers[lobby].rate in gateway.toml cannot be used: expected a"),
    "a contradiction": (
        f"{BANNED}grant_user_ids = [{seed.OWNER_ID}]\n{CALLER}",
        "games.x-moon in gateway.toml both grants and bans …: keep each user in one list",
    ),
    "an unknown game": (
        OTHER_GAME + caller_lines("lobby", LOBBY, games='["x-moon"]'),
        "callers[lobby].games in gateway.toml holds …, which is no game: expected a slug or id from [games.<slug>]",
    ),
    "in what needs a restart": ("port = 99999\n" + BANNED + CALLER, "port in gateway.toml cannot be used: expected a"),
}


@pytest.mark.parametrize("name", MISTAKES)
async def test_one_mistake_and_all_stays(follow: Following, name: str) -> None:
    """The line has each mistake and no value, the metric says so; and with the next file without one all is well."""
    toml, said = MISTAKES[name]
    gateway = await follow(X_MOON + CALLER)

    line = await gateway.reload(toml, said="configuration_refused")
    answer = await gateway.asker.user(seed.OWNER_ID, token=LOBBY)
    refused = await gateway.asker.metric("configuration_ok")
    await gateway.reload(BANNED + CALLER)

    (mistake,) = line["mistakes"]
    assert said in mistake
    assert line["level"] == "error"
    assert str(seed.OWNER_ID) not in mistake
    assert outcomes([answer]) == ["owned"]
    assert (refused, await gateway.asker.metric("configuration_ok")) == (0, 1)
    assert outcomes([await gateway.asker.user(seed.OWNER_ID, token=LOBBY)]) == ["banned"]


async def test_all_mistakes_are_named_at_once(follow: Following) -> None:
    """Each in one line, and many of them as a number."""
    gateway = await follow(X_MOON + CALLER)
    games = "".join(f"\n[games.game-{number}]\nid = 0\n" for number in range(25))

    line = await gateway.reload(games + CALLER, said="configuration_refused")

    assert len(line["mistakes"]) == 21
    assert line["mistakes"][-1] == "and 5 more"


async def test_settings_that_need_a_restart_are_named(follow: Following) -> None:
    """They stay as they are, and the rest of the file holds."""
    gateway = await follow("deadline_ms = 1000\n[itch]\nrate = 3\n" + X_MOON)

    line = await gateway.reload('deadline_ms = 2000\n[itch]\nrate = 4\n[log]\nformat = "json"\n' + BANNED)

    assert line["needs_restart"] == ["deadline_ms", "itch.rate", "log.format"]
    assert line["changed"] == ["games.x-moon"]


async def test_what_is_new_must_fit_what_stays(follow: Following) -> None:
    """Tables that need another address to listen on wait for the restart that brings it."""
    stays = 'host = "0.0.0.0"\n'
    gateway = await follow(stays + X_MOON + CALLER)

    line = await gateway.reload("" + X_MOON, said="configuration_refused")

    assert line["mistakes"] == [
        "gateway.toml has no [[callers]] any more: without any, everybody may ask; keep one at least"
    ]


async def test_the_level_of_the_log(follow: Following) -> None:
    """Another level holds at once, for each question's line too."""
    quiet = '[log]\nlevel = "error"\n' + X_MOON
    gateway = await follow(quiet, level="error")
    await gateway.asker.user(seed.OWNER_ID)

    line = await gateway.reload(X_MOON)
    await gateway.asker.user(seed.OWNER_ID)
    gateway.file.write_text(quiet, encoding="utf-8")
    gateway.asker.gateway.reload()
    await until(lambda: logging.getLogger().level == logging.ERROR)
    await gateway.asker.user(seed.OWNER_ID)
    await gateway.reload(None, said="configuration_refused")

    assert line["changed"] == ["log.level"]
    assert len(gateway.asker.log.lines("verified")) == 1


class Broken(SettingsReader):
    """Reads what the gateway cannot work with, as if there were a bug, while `broken` says where it is met."""

    broken: ClassVar[str | None] = None

    def read_again(self, content: FileContent, running: Settings) -> Reread:
        reread = super().read_again(content, running)
        settings = reread.settings
        match self.broken:
            case "reading":
                raise RuntimeError
            case "level":
                settings = replace(settings, log=replace(settings.log, level=cast("LogLevel", "loud")))
            case "canaries":
                (game,) = settings.games
                settings = replace(settings, games=(OddGame(**asdict(game)),))
        return replace(reread, settings=settings)


class OddGame(GameSettings, frozen=True):
    """A game about whose canaries nothing can be said."""

    @property
    def canary_user_ids(self) -> dict[str, PlayerId]:
        raise RuntimeError


@pytest.mark.parametrize("where", ["reading", "level", "canaries"])
async def test_a_bug_leaves_all_as_it_is(follow: Following, where: str) -> None:
    """It is counted, a line, and shown until a file is in use again; the next one is, with a signal or without."""

    class Reader(Broken):
        """For this test alone."""

    debug, info = ('[log]\nlevel = "debug"\n' + X_MOON + "canary_owner_user_id = 1001\n", BANNED)
    gateway = await follow(debug, kind=Reader)

    Reader.broken = where
    line = await gateway.reload(info, said="bug")
    answer = await gateway.asker.user(seed.OWNER_ID)
    level = logging.getLogger().level
    shown = await gateway.asker.metric("configuration_ok")
    Reader.broken = None
    gateway.file.write_text(OTHER_GAME, encoding="utf-8")
    while not gateway.asker.log.lines("configuration_reloaded"):
        await gateway.asker.clock.advance(LOOK_EVERY)
        await asyncio.sleep(0.001)
    found = await gateway.asker.user(seed.OWNER_ID, game="sun-garden")
    reread = await gateway.reload(info)

    assert line["where"] == "reload"
    assert await gateway.asker.metric("bugs_total", where="background") == 1
    assert outcomes([answer]) == ["owned"]
    assert (level, shown) == (logging.DEBUG, 0)
    assert (found.status_code, reread["changed"]) == (200, ["games.sun-garden", "games.x-moon"])
    assert outcomes([await gateway.asker.user(seed.OWNER_ID)]) == ["banned"]
    assert await gateway.asker.metric("configuration_ok") == 1


# When.


async def test_a_changed_file_is_found_without_a_signal(follow: Following, clock: FakeClock, log: LogLines) -> None:
    """Two looks see it, a second apart."""
    gateway = await follow(X_MOON)
    gateway.file.write_text(BANNED, encoding="utf-8")

    while not log.lines("configuration_reloaded"):
        await clock.advance(LOOK_EVERY)
        await asyncio.sleep(0.001)

    assert outcomes([await gateway.asker.user(seed.OWNER_ID)]) == ["banned"]


async def until_found(gateway: Follower, said: str, *, clock: FakeClock) -> None:
    """Let looks at the file pass until one more such line is there."""
    before = len(gateway.asker.log.lines(said))
    async with asyncio.timeout(30):
        while len(gateway.asker.log.lines(said)) == before:
            await clock.advance(LOOK_EVERY)
            await asyncio.sleep(0.001)


async def reset(gateway: Follower) -> None:
    """Reset the sandbox, and with it the gateway."""
    answer = await gateway.asker.http.post("/sandbox/reset")
    assert answer.status_code == 200


async def test_what_was_read_holds_after_a_reset(follow: Following, clock: FakeClock) -> None:
    """The file is followed on, also back to what it was at the start."""
    gateway = await follow(X_MOON)
    await gateway.reload(BANNED)

    await reset(gateway)
    after = await gateway.asker.user(seed.OWNER_ID)
    gateway.file.write_text(X_MOON, encoding="utf-8")
    await until_found(gateway, "configuration_reloaded", clock=clock)

    assert outcomes([after, await gateway.asker.user(seed.OWNER_ID)]) == ["banned", "owned"]


async def test_what_was_refused_is_refused_again_after_a_reset(follow: Following, clock: FakeClock) -> None:
    """A reset does not hide that the file has a mistake."""
    gateway = await follow(X_MOON)
    await gateway.reload("no TOML", said="configuration_refused")

    await reset(gateway)
    await until_found(gateway, "configuration_refused", clock=clock)

    assert await gateway.asker.metric("configuration_ok") == 0
    assert outcomes([await gateway.asker.user(seed.OWNER_ID)]) == ["owned"]


async def test_a_game_that_comes_is_in_the_sandbox(follow: Following) -> None:
    """The store knows every configured game as the seller's, at once and after a reset."""
    gateway = await follow(X_MOON)
    await gateway.reload("[games.brand-new]\nid = 70007\n")
    before = await gateway.asker.user(seed.OWNER_ID, game="brand-new")

    await reset(gateway)

    assert outcomes([before, await gateway.asker.user(seed.OWNER_ID, game="brand-new")]) == ["not_owned", "not_owned"]


@pytest.mark.parametrize("callers_first", [True, False])
async def test_a_file_that_stays_cut_between_lines_opens_nothing(
    follow: Following, clock: FakeClock, *, callers_first: bool
) -> None:
    """At any line: without a token all is refused, and a number that is no game of ours is none."""
    parts = [X_MOON, caller_lines("lobby", LOBBY), OTHER_GAME, caller_lines("arena", ARENA)]
    whole = "".join(reversed(parts) if callers_first else parts)
    follower = await follow(whole)
    lines = whole.splitlines(keepends=True)
    strangers, numbers = set(), set()
    for cut in range(len(lines)):
        await follower.until_seen("".join(lines[:cut]), clock)
        strangers.add((await follower.asker.user(seed.OWNER_ID)).status_code)
        numbers.add((await follower.asker.user(seed.OWNER_ID, token=LOBBY, game=77)).status_code)
        await follower.until_seen(whole, clock)

    assert strangers == {401}
    assert numbers == {401, 404} if callers_first else {404}
    assert outcomes([await follower.asker.user(seed.OWNER_ID, token=LOBBY)]) == ["owned"]


async def test_without_settings_from_a_file_a_signal_is_one_line(open_with: Open, log: LogLines) -> None:
    """All else stays as it is."""
    gateway = await open_with()

    gateway.gateway.reload()

    assert (await log.line("configuration_not_read"))["level"] == "warning"


@pytest.mark.parametrize("piped", [False, True])
async def test_what_can_be_read_only_once_is_not_read_again(clock: FakeClock, log: LogLines, *, piped: bool) -> None:
    """A gateway without a file, and one with a pipe for it, go on, and say so."""
    reading, writing = os.pipe()
    os.write(writing, X_MOON.encode())
    os.close(writing)
    file = Path(f"/dev/fd/{reading}") if piped else None
    reader = SettingsReader({}, config_file=file, flags={"sandbox": "true"})
    async with opened(reader.read(), clock=clock, log=log, reader=reader) as gateway:
        gateway.gateway.reload()
        await log.line("configuration_not_read")
        answer = await gateway.user(seed.OWNER_ID)
    os.close(reading)

    assert outcomes([answer]) == ["owned"]


class Watching(SettingsReader):
    """Notes the interval after which Python lets another thread go on while the file is read again."""

    noted: ClassVar[list[float]] = []

    def read_again(self, content: FileContent, running: Settings) -> Reread:
        self.noted.append(sys.getswitchinterval())
        return super().read_again(content, running)


@pytest.mark.parametrize("said", ["configuration_reloaded", "configuration_refused"])
async def test_reading_gives_way_to_questions(follow: Following, said: str) -> None:
    """Ten times as soon as Python's threads do, and only for as long as it takes."""
    before = sys.getswitchinterval()
    Watching.noted.clear()
    gateway = await follow(X_MOON, kind=Watching)

    await gateway.reload(BANNED if said == "configuration_reloaded" else "games = 3\n", said=said)

    assert Watching.noted == [before / 10]
    assert sys.getswitchinterval() == before


# What belongs to games, and follows them.


async def test_an_override_of_a_game_that_is_gone_can_be_taken_back(follow: Following) -> None:
    """By its id, as the log has it: for the game may come back."""
    gateway = await follow(X_MOON + OTHER_GAME)
    body = {"game": 3, "user_id": seed.OWNER_ID, "word": "ban", "seconds": 3600}
    said = (await gateway.asker.http.post(OVERRIDES_PATH, json=body)).json()
    await gateway.reload(OTHER_GAME)

    removed = await gateway.asker.http.delete(f"{OVERRIDES_PATH}/{said['id']}")
    await gateway.reload(X_MOON)

    assert removed.status_code == 204
    assert (await gateway.asker.log.line("override_removed"))["game"] == "3"
    assert outcomes([await gateway.asker.user(seed.OWNER_ID)]) == ["owned"]


async def test_held_noes_of_a_game_that_is_gone(follow: Following) -> None:
    """Neither readiness nor metrics speak of it, until it is configured again."""
    gateway = await follow(X_MOON + OTHER_GAME)
    await gateway.asker.http.post("/admin/revocations", json={"game": 3, "believe": False})
    states = [states_of(gateway.asker.gateway)["revocations"]]
    held = [await gateway.asker.metric("revocations_held", game="x-moon")]

    for toml in (OTHER_GAME, X_MOON + OTHER_GAME):
        await gateway.reload(toml)
        states.append(states_of(gateway.asker.gateway)["revocations"])
        held.append(await gateway.asker.metric("revocations_held", game="x-moon"))

    assert states == ["held", "ok", "held"]
    assert held == [1, 0, 1]


async def test_held_noes_belong_to_the_id_and_not_to_the_slug(follow: Following) -> None:
    """The metric says of a slug what is true of the game that it stands for now."""
    gateway = await follow(X_MOON + OTHER_GAME)
    await gateway.asker.http.post("/admin/revocations", json={"game": 3, "believe": False})

    held = []
    for toml in (X_MOON.replace("3", "5") + OTHER_GAME, X_MOON.replace("3", "4") + OTHER_GAME.replace("4", "3")):
        await gateway.reload(toml)
        held.append([await gateway.asker.metric("revocations_held", game=game) for game in ("x-moon", "sun-garden")])

    assert held == [[0, 0], [0, 1]]


async def test_without_a_guard_nothing_is_held(follow: Following) -> None:
    """A gateway whose operator wants none reloads all the same."""
    gateway = await follow("revocation_guard = false\n" + X_MOON)

    await gateway.reload("revocation_guard = false\n" + BANNED)

    assert states_of(gateway.asker.gateway)["revocations"] == "disabled"


async def canaries_after(gateway: Follower, count: int) -> set[str]:
    """Let time pass until so many canaries are shown, and return what each is expected to be."""
    async with asyncio.timeout(30):
        while True:
            await gateway.asker.clock.advance(timedelta(seconds=1))
            await asyncio.sleep(0.005)
            text = (await gateway.asker.http.get("/metrics")).text
            shown = set(re.findall(r'^ownership_gateway_canary_ok{expect="(\w+)"', text, re.MULTILINE))
            if len(shown) == count:
                return shown


async def test_canaries_come_and_go(follow: Following) -> None:
    """A gateway that had none begins to ask about them, and shows none that is gone."""
    owner = f"canary_owner_user_id = {seed.OWNER_ID}\n"
    stranger = f"canary_stranger_user_id = {seed.STRANGER_ID}\n"
    gateway = await follow(X_MOON)

    shown = []
    for toml, count in ((X_MOON + owner, 1), (X_MOON + owner + stranger, 2), (X_MOON + stranger, 1), (X_MOON, 0)):
        await gateway.reload(toml)
        shown.append(await canaries_after(gateway, count))

    assert shown == [{"owner"}, {"owner", "stranger"}, {"stranger"}, set()]
