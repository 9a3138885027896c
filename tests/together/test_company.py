"""Three replicas, two relays, a Redis and a store as processes, two troubles at a time.

Clocks of two processes are a minute wrong all the time. Each answer is judged: no yes about a player who never owned
the game or was invalidated, no no about an owner, no `unknown` about an owner who was proven there or while nothing is
wrong, no 500.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from service.sandbox.faults import Fault
from tests.gateways import until
from tests.sizes import COMPANY_SECONDS, SOAK
from tests.together.company import TOKEN, company
from tests.together.judgement import RECOVERED, Judge
from tests.together.players import OWNERS, STRANGERS, Players
from tests.together.troubles import TROUBLES

# Processes, which run one Python: the others have their own tests of what differs.
pytestmark = pytest.mark.once

_SECONDS: Final = 10.0 if SOAK else 2.0
"""The time that a trouble lasts."""


@pytest.mark.parametrize("part", [0, 1])
async def test_troubles_two_at_a_time(
    part: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """No answer is wrong, and no secret is in a log. Each half of the troubles takes about a minute."""
    judge, chance = Judge(), random.Random(7)
    async with company(tmp_path) as met:
        players = Players(met, judge, seed=1)
        async with players.playing():
            await players.introduce()
            order = chance.sample(TROUBLES, len(TROUBLES))[part::2]
            ends = time.monotonic() + COMPANY_SECONDS
            while order or time.monotonic() < ends:
                pair = (order.pop(), order.pop()) if order else chance.sample(TROUBLES, 2)
                await asyncio.gather(*(trouble(met, judge, _SECONDS) for trouble in pair))
                await asyncio.sleep(chance.uniform(0, 2 * RECOVERED) if SOAK else 0)
            await asyncio.sleep(RECOVERED)
        logs = [member.log.read_text() for member in met.members.values()]

    record_property("judged", dict(judge.judged))
    record_property("troubles", dict(judge.troubles))
    assert judge.wrong == []
    assert min(judge.judged["owned"], judge.judged["not_owned"], judge.judged["unknown"]) > 0
    assert len(judge.troubles) >= len(TROUBLES) // 2
    assert not [log for log in logs if TOKEN in log or "crashed" in log or "Traceback" in log]


async def test_the_judge_sees_what_is_wrong(tmp_path: Path) -> None:
    """With a store that lies, replicas that do not hear of each other, and troubles that are not noted."""
    judge = Judge()
    async with company(tmp_path, apart=True) as met:
        players = Players(met, judge, seed=1)
        first = met.replicas[0]

        async def seen(player: int, **fields: object) -> str:
            """Ask about a player, and return what was wrong with the answer."""
            before = len(judge.wrong)
            await players.ask(first, player, **fields)
            return " ".join(judge.wrong[before:])

        key = {"id": 1, "game_id": 3, "key": "a-key-of-a-liar", "created_at": "2020-01-01 00:00:00"}
        lie = json.dumps({"download_key": {**key, "owner": {"id": STRANGERS[0]}}})
        met.sandbox.faults.replace([Fault(body=lie, content_type="application/json")])
        assert "never owned" in await seen(STRANGERS[0])
        met.sandbox.faults.replace([Fault(deny=True)])
        assert "owned all the time" in await seen(OWNERS[0])
        met.sandbox.faults.replace([Fault(status=500)])
        assert "nothing was wrong" in await seen(OWNERS[1])
        met.sandbox.faults.replace(())
        met.sandbox.mend()

        while (await players.ask(first, OWNERS[2])).body.get("outcome") != "owned":
            pass
        met.sandbox.faults.replace([Fault(status=500)])
        assert "left standing" in await seen(OWNERS[2], max_age=0)
        met.sandbox.faults.replace(())
        met.sandbox.mend()

        await first.kill()
        assert "no answer from a process that is well" in await seen(OWNERS[3])
        await first.start()
        async with players.playing():
            await until(lambda: any("a yes from before the invalidation" in wrong for wrong in judge.wrong))
