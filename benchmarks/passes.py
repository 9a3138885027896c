"""Passes: the CPU time of showing one, and a launch at which every memory is cold.

One process, no sockets, as in `calls`. The passes are signed here with the gateway's own key, so that the gateway has
never heard of their players: only what they show can let them in. Each player with a pass is really asked about, at a
gateway whose memory is cold and which has no Redis, and the requests that the store then gets are counted. So are up to
10 000 of those without one: each of them costs the same, and a look-up takes ten times as long as a pass. They would
keep the store budget busy for half an hour: there it has none, and how long they wait is told in virtual time, as in
`simulation`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from statistics import median
from typing import Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.types import Options
from msgspec import Struct, structs

from benchmarks.calls import Ask, first_question, open_in_process, settings_for, until_remembered
from benchmarks.load import TOKEN
from benchmarks.processes import BenchmarkError
from benchmarks.simulation import Launch, simulate_launch
from benchmarks.simulation import table as table_of_launches
from service.cache.keys import KeyedFingerprints, derive_keys
from service.clock import SystemClock
from service.itch.dialect import Dialect
from service.ownership import AssertedUser, Decision, GameId, Method, Player, PlayerId, Proof, ProofKind, Reason
from service.pass_pem import new_signing_key
from service.passes.handles import Handles
from service.passes.pass_claims import ALGORITHM
from service.passes.pass_writer import PassOrder, PassWriter
from service.passes.signing_keys import SigningKeys
from service.rights import Right
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.seed import GAME_ID
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreEndpoint
from service.secret import PassKeys, SealingSecret
from service.server import spare_the_collector
from service.settings import Settings
from service.settings.model import PassesSettings, PolicySettings
from service.verification.policy import GameRules, allowance
from service.verification.question import Question
from service.wiring.upstream import StoreAddress

PLAYERS: Final = (10_000,)
HOLDING: Final = (0.0, 0.5, 0.95)
"""Shares of the players who hold a pass."""

_ISSUER: Final = "https://benchmark.invalid"
_SECRET: Final = "a secret of the benchmark, 32 characters"  # noqa: S105 - of nothing
_QUESTIONS: Final = 300
_FIRST_ID: Final = 40_000_000
_FIRST_NUMBER: Final = 100
_MOST_OTHERS: Final = 10_000
_SIGNATURE_ALONE: Final[Options] = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
_RULES: Final = GameRules(GameId(GAME_ID), "benchmark")
_NO_LIMIT: Final = 1_000_000
_DEADLINE_MS: Final = 10_000
_HOUR: Final = timedelta(hours=1)


class Shown(Struct, frozen=True):
    """Median CPU time of a question, and of its ratio to one from memory; of a pass shown first, and once more.

    `check` is that of PyJWT, when it checks the same passes, one after each question from memory: what a pass cannot do
    without. `floor_ratio` is of a pass shown first to the two together.
    """

    memory_microseconds: float
    check_microseconds: float
    first_microseconds: float
    again_microseconds: float
    check_ratio: float
    first_ratio: float
    again_ratio: float
    floor_ratio: float


class ColdLaunch(Struct, frozen=True):
    """A launch: how many showed a pass, what the store was asked for them and for others, and what became of all."""

    holding: float
    shown: int
    store_requests: int
    others_asked: int
    store_requests_of_others: int
    microseconds: float
    launch: Launch


class Signer:
    """Signs passes of players as the gateway with these settings would."""

    def __init__(self, settings: Settings) -> None:
        clock, keys = SystemClock(), derive_keys(settings.secret)
        pem = settings.passes.key
        if pem is None:
            raise BenchmarkError("the gateway has no key for passes")
        given = pem
        signing = SigningKeys(lambda: given, clock=clock, reloaded=print, unreadable=print)
        self.public = signing.current().keys[0].public
        self._writer = PassWriter(
            keys=signing,
            handles=Handles(
                keys.handles,
                KeyedFingerprints(
                    keys.naming, StoreAddress(Dialect.CURRENT, settings.itch.effective_base_url, []).environment
                ),
            ),
            issuer=_ISSUER,
            longest=_HOUR,
            sandbox=False,
            is_void=lambda _rules, _claims: False,
        )

    def sign(self, number: int) -> str:
        """Return a pass of the player of that number, whose purchase was seen just now."""
        now, player_id = datetime.now(UTC), PlayerId(_FIRST_ID + number)
        decision = Decision(
            Reason.PURCHASE,
            _RULES.game_id,
            Method.USER,
            player=Player(player_id),
            proof=Proof(ProofKind.PURCHASE, number + 1),
            observed_at=now,
            fresh_until=now + _HOUR,
            usable_until=now + 24 * _HOUR,
        )
        allowed = allowance(decision)
        question = Question(_RULES, AssertedUser(player_id), deadline=timedelta(seconds=3))
        order = PassOrder()
        written = (
            None
            if allowed is None
            else self._writer.write(allowed, question, order, shown=None, decision_id=f"{number:026}", now=now)
        )
        if written is None:
            raise BenchmarkError("no pass was signed")
        return written.value


def measure_showing(*, rounds: int) -> Shown:
    """Ask from memory, with passes never seen, and with the same once more, round for round."""
    spare_the_collector()  # as a gateway does when it serves
    return asyncio.run(_measure_showing(rounds))


def launch_cold(players: Sequence[int]) -> tuple[ColdLaunch, ...]:
    """Return what becomes of so many players when nothing is remembered, with every share of them holding a pass."""
    return tuple(asyncio.run(_launch(number, holding)) for number in players for holding in HOLDING)


def table(shown: Shown) -> str:
    """Return the figures as lines of text."""
    return "\n".join(
        [
            f"{'':>28} {'CPU µs':>8} {'to memory':>10}",
            f"{'a question from memory':>28} {shown.memory_microseconds:>8.1f} {1:>10.2f}",
            f"{'one check by PyJWT':>28} {shown.check_microseconds:>8.1f} {shown.check_ratio:>10.2f}",
            f"{'a pass, shown first':>28} {shown.first_microseconds:>8.1f} {shown.first_ratio:>10.2f}",
            f"{'the same pass, once more':>28} {shown.again_microseconds:>8.1f} {shown.again_ratio:>10.2f}",
            f"shown first, to a question from memory and one check: {shown.floor_ratio:.2f}",
        ]
    )


def table_of_cold(launches: Sequence[ColdLaunch]) -> str:
    """Return the figures as lines of text."""
    lines = [
        f"{'players':>10} {'holding':>8} {'shown':>9} {'store requests':>15} {'others':>9} {'for them':>9} "
        f"{'CPU µs a pass':>14}"
    ]
    lines += [
        f"{one.launch.players:>10,} {one.holding:>8.0%} {one.shown:>9,} {one.store_requests:>15,} "
        f"{one.others_asked:>9,} {one.store_requests_of_others:>9,} {one.microseconds:>14.1f}"
        for one in launches
    ]
    return "\n".join([*lines, "", table_of_launches([one.launch for one in launches])])


async def _measure_showing(rounds: int) -> Shown:
    async with open_with_passes() as (_, ask, signer):
        await until_remembered(ask)
        numbers = iter(range(_FIRST_NUMBER, 60_000))
        spent = []
        for _ in range(rounds):
            known = [first_question(next(numbers)) for _ in range(_QUESTIONS)]
            signed = [signer.sign(next(numbers)) for _ in range(_QUESTIONS)]
            passes = [_question(one) for one in signed]
            memory = await _time(ask, known)
            both = await _time(ask, known, checked=signed, key=signer.public)
            spent.append((memory, both - memory, await _time(ask, passes), await _time(ask, passes)))
    memory, check, first, again = (median(one[place] for one in spent) / _QUESTIONS * 1_000_000 for place in range(4))
    return Shown(
        memory_microseconds=memory,
        check_microseconds=check,
        first_microseconds=first,
        again_microseconds=again,
        check_ratio=median(one[1] / one[0] for one in spent),
        first_ratio=median(one[2] / one[0] for one in spent),
        again_ratio=median(one[3] / one[0] for one in spent),
        floor_ratio=median(one[2] / (one[0] + one[1]) for one in spent),
    )


async def _launch(players: int, holding: float) -> ColdLaunch:
    holders = round(players * holding)
    seconds = 0.0
    async with open_with_passes() as (store, ask, signer):
        for numbers in _parts(holders):
            requests = [_question(signer.sign(number)) for number in numbers]
            seconds += await _time(ask, requests)
        for_holders = _requests(store)
        others = range(holders, min(players, holders + _MOST_OTHERS))
        for number in others:
            store.world.buy([GAME_ID], user_id=_FIRST_ID + number)
            await _time(ask, [_question_about(number)])
        for_others = _requests(store) - for_holders
    launch = await simulate_launch(players, holding)
    microseconds = seconds / max(1, holders) * 1_000_000
    return ColdLaunch(holding, holders, for_holders, len(others), for_others, microseconds, launch)


def _requests(store: Sandbox) -> int:
    """Return how often the store was asked about players: a gateway that starts also asks whose its key is."""
    counts = store.journal.report().counts
    return counts[StoreEndpoint.DOWNLOAD_KEYS] + counts[StoreEndpoint.PURCHASES]


def _parts(count: int) -> Iterator[range]:
    for first in range(0, count, _QUESTIONS):
        yield range(first, min(count, first + _QUESTIONS))


@asynccontextmanager
async def open_with_passes(*policies: PolicySettings) -> AsyncIterator[tuple[Sandbox, Ask, Signer]]:
    """Open a gateway whose memory is cold, and its store; the signer has the gateway's own key."""
    sandbox = Sandbox(clock=SystemClock())
    async with SandboxServer(sandbox) as store:
        settings = settings_for(store.base_url)
        settings = structs.replace(
            settings,
            secret=SealingSecret(_SECRET),
            passes=PassesSettings(issuer=_ISSUER, key=PassKeys(new_signing_key())),
            forward_auth=policies,
            callers=tuple(
                structs.replace(one, rights=(*one.rights, Right.PASS, Right.ASSERT_USER)) for one in settings.callers
            ),
            itch=structs.replace(settings.itch, rate=_NO_LIMIT, burst=_NO_LIMIT, timeout_seconds=_DEADLINE_MS / 1000),
        )
        async with open_in_process(settings) as (_, ask):
            yield sandbox, ask, Signer(settings)


def _question(shown: str) -> bytes:
    return _post("pass", msgspec.json.encode({"game": GAME_ID, "pass": shown}))


def _question_about(number: int) -> bytes:
    return _post(
        "user", msgspec.json.encode({"game": GAME_ID, "user_id": _FIRST_ID + number, "deadline_ms": _DEADLINE_MS})
    )


def _post(method: str, body: bytes) -> bytes:
    head = (
        f"POST /verify/{method} HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


async def _time(
    ask: Ask, requests: Sequence[bytes], *, checked: Sequence[str] = (), key: RSAPublicKey | None = None
) -> float:
    """Return the CPU time of asking, and of checking the signature of one pass after each question."""
    answers = []
    before = time.thread_time()
    for request, shown in zip_longest(requests, checked):
        answers.append(await ask(request))
        if shown is not None and key is not None:
            jwt.decode(shown, key, algorithms=[ALGORITHM], issuer=_ISSUER, options=_SIGNATURE_ALONE)
    spent = time.thread_time() - before
    for answer in answers:
        if not answer.startswith(b"HTTP/1.1 200 ") or b'"allowed":true' not in answer:
            raise BenchmarkError(f"not let in: {answer[:300]!r}")
    return spent
