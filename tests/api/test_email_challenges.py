"""Codes that are mailed to players, and what they prove."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import pytest
from redis.asyncio import Redis

from service.cache.keys import derive_keys
from service.ownership import GameId, VerifiedEmail
from service.proofs.sealed_texts import MailedCode, SealedTexts
from service.sandbox import seed
from service.sandbox.seed import SELLER_KEY
from tests.api.conftest import Open
from tests.clock import START, FakeClock
from tests.gateways import SECRET, X_MOON, Asker, LogLines, caller_lines, store_calls, until
from tests.proofs.mail_server import MailServer, mail_server

LOBBY: Final = "ogw_lobby-lobby-lobby-lobby-lobby-lobby-lobby-lo"
OTHER: Final = "ogw_other-other-other-other-other-other-other-ot"
RIGHTS: Final = '["challenge", "verify"]'
PLAYER: Final = "player@example.com"
SENDER: Final = "noreply@studio.example"


def mailing(port: int, more: str = "", *, secret: str = SECRET) -> str:
    """Return the configuration of a gateway that mails codes by the server at that port."""
    return (
        f'secret = "{secret}"\n[itch]\napi_key = "{SELLER_KEY}"\nbase_url = "http://127.0.0.1:9"\n'
        f'[mail]\nurl = "smtp://127.0.0.1:{port}"\nfrom = "{SENDER}"\n{more}{X_MOON}'
    )


async def ask_for_code(
    gateway: Asker, email: str = PLAYER, *, token: str | None = None, **fields: Any
) -> httpx.Response:
    """Ask for a code about game 3."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await gateway.http.post("/email-challenges", json={"game": 3, "email": email, **fields}, headers=headers)


async def confirm(gateway: Asker, challenge: str, code: str, *, token: str | None = None) -> dict[str, Any]:
    """Type a code in; return the body of the answer."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body = {"challenge": challenge, "code": code}
    answer = await gateway.http.post("/email-challenges/confirm", json=body, headers=headers)
    assert answer.status_code == 200
    result: dict[str, Any] = answer.json()
    return result


async def prove(gateway: Asker, proof: str, *, token: str | None = None, **fields: Any) -> httpx.Response:
    """Ask with a proof."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await gateway.http.post("/verify/email", json={"game": 3, "proof": proof, **fields}, headers=headers)


async def mailed_code(gateway: Asker) -> str:
    """Return the code in the last mail of the outbox."""
    text = (await gateway.http.get("/sandbox/mails")).json()[-1]["text"]
    (code,) = [word for word in text.split() if word.isdecimal() and len(word) == 8]
    return str(code)


def wrong(code: str) -> str:
    """Return another code."""
    return f"{(int(code) + 1) % 10**8:08}"


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """A mail server."""
    async with mail_server() as server:
        yield server


async def test_a_code_proves_an_address(gateway: Asker, log: LogLines) -> None:
    """In the sandbox, whose outbox has the mail: asked for, typed in, and shown as often as needed."""
    begun = await ask_for_code(gateway, seed.BUYER_EMAIL, player_ref="lobby:7")
    code = await mailed_code(gateway)
    confirmed = await confirm(gateway, begun.json()["challenge"], f" {code[:4]} {code[4:]} ")
    answers = [await prove(gateway, confirmed["proof"]) for _ in range(2)]
    item = {"id": "a", "method": "email", "game": 3, "proof": confirmed["proof"]}
    (in_batch,) = (await gateway.batch(item)).json()["results"]

    assert begun.status_code == 202
    assert begun.json().keys() == {"challenge", "expires_at", "resend_after"}
    assert confirmed.keys() == {"confirmed", "proof", "expires_at"}
    assert [answer.json()["reason"] for answer in answers] == ["purchase", "purchase"]
    assert in_batch["decision"]["allowed"] is True
    subject = (await log.line("verified"))["subject"]
    lines = log.lines("challenge")
    assert [line["result"] for line in lines] == ["sent", "confirmed"]
    assert lines[0]["subject"] == lines[1]["subject"] == subject
    assert await gateway.metric("challenges_total", result="sent") == 1
    for hidden in (code, confirmed["proof"], begun.json()["challenge"], seed.BUYER_EMAIL):
        assert hidden.encode() not in log.written


async def test_a_mail_goes_by_a_real_server(open_with: Open, server: MailServer) -> None:
    """Plain text, from the sender, to the player alone."""
    gateway = await open_with(mailing(server.port), sandbox=False)

    begun = await ask_for_code(gateway)
    confirmed = await confirm(gateway, begun.json()["challenge"], server.code())

    message, (envelope,) = server.message(), server.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, [PLAYER])
    assert (message["from"], message["to"], message["auto-submitted"]) == (SENDER, PLAYER, "auto-generated")
    assert message["subject"] == f"{server.code()} is your code for x-moon"
    assert message.get_content_type() == "text/plain"
    assert "10 minutes" in message.get_content()
    assert "http" not in message.get_content()
    assert confirmed["confirmed"] is True


async def test_the_text_may_be_the_operators(open_with: Open, server: MailServer, tmp_path: Any) -> None:
    """Its first line is the subject; it may be in any language."""
    text = tmp_path / "mail.txt"
    text.write_text("Dein Schlüssel für {game}\n\n{code} gilt {minutes} Minuten. Viel Spaß!\n", encoding="utf-8")
    gateway = await open_with(mailing(server.port, f'text_file = "{text}"\ncode_seconds = 120\n'), sandbox=False)

    begun = await ask_for_code(gateway)

    assert begun.status_code == 202
    assert server.message()["subject"] == "Dein Schlüssel für x-moon"
    assert server.message().get_content().splitlines() == [f"{server.code()} gilt 2 Minuten. Viel Spaß!"]


async def test_five_tries(gateway: Asker) -> None:
    """Right or wrong; then the challenge is worth nothing."""
    begun = (await ask_for_code(gateway)).json()
    code = await mailed_code(gateway)

    wrongs = [await confirm(gateway, begun["challenge"], typed) for typed in (wrong(code), "12", "x" * 8, code + "0")]
    right = await confirm(gateway, begun["challenge"], code)
    late = await confirm(gateway, begun["challenge"], code)

    assert [(one["confirmed"], one["reason"], one["tries_left"]) for one in wrongs] == [
        (False, "wrong_code", left) for left in (4, 3, 2, 1)
    ]
    assert right["confirmed"] is True
    assert late == {"confirmed": False, "reason": "no_tries_left", "tries_left": 0}


async def test_a_challenge_and_a_proof_end(gateway: Asker, clock: FakeClock) -> None:
    """To the second, by the clock of the gateway."""
    begun = (await ask_for_code(gateway)).json()
    code = await mailed_code(gateway)
    proof = (await confirm(gateway, begun["challenge"], code))["proof"]

    clock.jump(timedelta(minutes=10))
    late = await confirm(gateway, begun["challenge"], code)
    clock.jump(timedelta(minutes=19, seconds=59))
    still = await prove(gateway, proof)
    clock.jump(timedelta(seconds=1))
    over = await prove(gateway, proof)

    assert late == {"confirmed": False, "reason": "expired_challenge", "tries_left": 0}
    assert still.json()["outcome"] == "not_owned"
    assert (over.json()["outcome"], over.json()["reason"]) == ("rejected", "email_not_verified")


async def test_a_proof_is_for_its_caller_game_address_and_purpose(open_with: Open) -> None:
    """Shown in any other way, it proves nothing; nor does a challenge, or what is cut or changed."""
    callers = caller_lines("lobby", LOBBY, rights=RIGHTS) + caller_lines("other", OTHER, rights=RIGHTS)
    gateway = await open_with(X_MOON + "[games.other]\nid = 4\n" + callers)
    begun = (await ask_for_code(gateway, seed.BUYER_EMAIL, token=LOBBY)).json()
    code = await mailed_code(gateway)
    theirs = await confirm(gateway, begun["challenge"], code, token=OTHER)
    proof = (await confirm(gateway, begun["challenge"], code, token=LOBBY))["proof"]
    changed = proof[:20] + ("A" if proof[20] != "A" else "B") + proof[21:]

    async def shown(text: str, *, token: str = LOBBY, **fields: Any) -> str:
        answer = await prove(gateway, text, token=token, **fields)
        assert answer.status_code == 200
        return str(answer.json()["reason"])

    assert theirs == {"confirmed": False, "reason": "malformed_challenge", "tries_left": 0}
    assert await shown(proof) == "purchase"
    assert await shown(proof, email=seed.BUYER_EMAIL) == "purchase"
    asked = store_calls(gateway.sandbox)
    refused = [
        await shown(proof, token=OTHER),
        await shown(proof, game=4),
        await shown(proof, email=PLAYER),
        await shown(begun["challenge"]),
        await shown(changed),
        await shown(proof[:-1]),
        await shown(proof + "A"),
        await shown("A" * 3000),
        await shown("A"),
        await shown(""),
        await shown("é"),
    ]
    assert set(refused) == {"email_not_verified"}
    assert store_calls(gateway.sandbox) == asked
    as_challenge = await confirm(gateway, proof, code, token=LOBBY)
    assert as_challenge["reason"] == "malformed_challenge"


def test_what_is_sealed_shows_nothing() -> None:
    """Neither the address nor the digest of the code stands in a trace or a line."""
    texts = SealedTexts(derive_keys(None).proofs, "here")
    text = texts.challenge(
        VerifiedEmail(PLAYER), MailedCode("12345678"), game_id=GameId(3), caller="lobby", ends_at=START
    )
    opened = texts.open_challenge(text)

    assert opened is not None
    assert repr(opened) == "Challenge(***)"
    assert PLAYER not in text


async def test_another_secret_voids_what_is_open(open_with: Open, server: MailServer) -> None:
    """A challenge and a proof are good at the gateways with the same secret alone."""
    first = await open_with(mailing(server.port), sandbox=False)
    begun = (await ask_for_code(first)).json()
    proof = (await confirm(first, begun["challenge"], server.code()))["proof"]
    other = await open_with(mailing(server.port, secret=f"another {SECRET}"), sandbox=False)
    same = await open_with(mailing(server.port), sandbox=False)

    assert (await confirm(other, begun["challenge"], server.code()))["reason"] == "malformed_challenge"
    assert (await confirm(same, begun["challenge"], server.code()))["confirmed"] is True
    assert (await prove(other, proof)).json()["reason"] == "email_not_verified"
    assert (await prove(same, proof)).json()["outcome"] == "unknown"


async def test_what_a_sandbox_has_confirmed_proves_nothing_elsewhere(open_with: Open, server: MailServer) -> None:
    """Also with the same secret: the mails of a sandbox are for all to read."""
    sandbox = await open_with(f'secret = "{SECRET}"\n{X_MOON}')
    begun = (await ask_for_code(sandbox)).json()
    proof = (await confirm(sandbox, begun["challenge"], await mailed_code(sandbox)))["proof"]
    real = await open_with(mailing(server.port), sandbox=False)

    assert (await prove(real, proof)).json()["reason"] == "email_not_verified"


async def test_the_rights_are_needed(open_with: Open) -> None:
    """Having codes mailed needs a right of its own, and a game of the caller's."""
    callers = caller_lines("lobby", LOBBY, rights=RIGHTS, games='["4"]') + caller_lines(
        "other", OTHER, rights='["verify", "assert:email"]'
    )
    gateway = await open_with(X_MOON + "[games.other]\nid = 4\n" + callers)

    answers = [
        await ask_for_code(gateway, token=OTHER),
        await ask_for_code(gateway, token=LOBBY),
        await ask_for_code(gateway),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 401]
    assert (await ask_for_code(gateway, token=LOBBY, game=4)).status_code == 202


async def test_mails_to_an_address_are_few(gateway: Asker, clock: FakeClock, log: LogLines) -> None:
    """One a minute, three an hour, six a day, in any spelling and for all games and callers."""

    async def asked() -> int:
        answer = await ask_for_code(gateway, "Player@EXAMPLE.com" if clock.now().minute % 2 else PLAYER)
        if answer.status_code == 429:
            assert answer.json()["code"] == "too_many_challenges"
            assert int(answer.headers["retry-after"]) > 0
        return answer.status_code

    hour = []
    for _ in range(5):
        hour += [await asked(), await asked()]
        clock.jump(timedelta(minutes=1))
    day = []
    for _ in range(6):
        clock.jump(timedelta(hours=1))
        day.append(await asked())
    clock.jump(timedelta(hours=24))

    assert hour == [202, 429, 202, 429, 202, 429, 429, 429, 429, 429]
    assert day == [202, 202, 202, 429, 429, 429]
    assert await asked() == 202
    assert await gateway.metric("challenges_total", result="limited") == 10
    assert (await ask_for_code(gateway, "another@example.com")).status_code == 202


async def test_another_mail_may_be_asked_for_when_it_is_said(gateway: Asker, clock: FakeClock) -> None:
    begun = (await ask_for_code(gateway)).json()
    clock.jump(datetime.fromisoformat(begun["resend_after"]) - clock.now())

    assert (await ask_for_code(gateway)).status_code == 202


async def test_mails_for_a_player_and_a_caller_are_few(open_with: Open, clock: FakeClock) -> None:
    """Five an hour for a player, however many addresses are tried; and so many a minute for a caller."""
    gateway = await open_with(f"[mail]\nper_minute = 7\n{X_MOON}")

    player = [(await ask_for_code(gateway, f"a{n}@example.com", player_ref="one")).status_code for n in range(6)]
    caller = [(await ask_for_code(gateway, f"b{n}@example.com")).status_code for n in range(2)]
    clock.jump(timedelta(minutes=1))
    freed = [(await ask_for_code(gateway, address, player_ref="two")).status_code for address in ("a5@example.com",)]

    assert player == [202] * 5 + [429]
    assert caller == [202, 429]
    assert freed == [202]


async def test_an_address_that_is_full_costs_a_player_nothing(gateway: Asker) -> None:
    """Room that was taken for a mail that is not sent is given back."""
    await ask_for_code(gateway)
    refused = [(await ask_for_code(gateway, player_ref="one")).status_code for _ in range(9)]
    sent = [(await ask_for_code(gateway, f"a{n}@example.com", player_ref="one")).status_code for n in range(5)]

    assert (refused, sent) == ([429] * 9, [202] * 5)


async def test_ten_thousand_guesses(open_with: Open) -> None:
    """By a hundred callers, at the challenges of one of them and at their own: none gets in."""
    tokens = [f"ogw_{n:03}{'x' * 40}" for n in range(100)]
    callers = "".join(
        caller_lines(f"c{n}", token, rights='["challenge"]', rate="100000") for n, token in enumerate(tokens)
    )
    gateway = await open_with(X_MOON + callers)
    challenges = []
    codes = []
    for n, token in enumerate(tokens):
        begun = await ask_for_code(gateway, f"p{n}@example.com", token=token)
        challenges.append(begun.json()["challenge"])
        codes.append(await mailed_code(gateway))
    results: list[dict[str, Any]] = []
    for turn in range(100):
        guesses = [
            confirm(gateway, challenges[n if turn < 50 else (n + turn) % 100], f"{turn:08}", token=token)
            for n, token in enumerate(tokens)
        ]
        results += await asyncio.gather(*guesses)

    assert len(results) == 10_000
    assert not any(result["confirmed"] for result in results)
    assert sum(result["reason"] == "wrong_code" for result in results) == 500
    assert await gateway.metric("challenges_total", result="confirmed") == 0
    # A control: the codes were right all the time, and the tries at them are gone.
    late = await confirm(gateway, challenges[0], codes[0], token=tokens[0])
    assert late["reason"] == "no_tries_left"


async def test_buyers_and_others_are_told_the_same(gateway: Asker) -> None:
    """Neither status, nor fields, nor lengths differ, and the store is not asked."""
    buyer = await ask_for_code(gateway, seed.BUYER_EMAIL)
    other = await ask_for_code(
        gateway, "x" * seed.BUYER_EMAIL.index("@") + seed.BUYER_EMAIL[seed.BUYER_EMAIL.index("@") :]
    )

    assert buyer.status_code == other.status_code == 202
    assert len(buyer.content) == len(other.content)
    assert buyer.headers.keys() == other.headers.keys()
    assert store_calls(gateway.sandbox) == 0


@pytest.mark.parametrize(
    "address",
    [
        "player@example.com\r\nBcc: all@example.com",
        "player@example.com\nSubject: x",
        "player\r\n@example.com",
        "player@exa\0mple.com",
        '"player"@example.com',
        "a@b@example.com",
        "player@example",
        "player example@example.com",
        f"{'x' * 308}@example.com",
        "",
        "player@",
        "<player@example.com>",
        "player@example.com, other@example.com",
    ],
)
async def test_what_is_no_address_gets_no_mail(gateway: Asker, address: str) -> None:
    answer = await ask_for_code(gateway, address)

    assert (answer.status_code, answer.json()["errors"]) == (400, [{"pointer": "/email", "code": "malformed_email"}])
    assert gateway.sandbox.outbox.mails() == []


@pytest.mark.parametrize("hidden", ["=0d=0aBcc=3aother=40example.org", "a=2cother=40example.org=2c", "=00", "Hello"])
async def test_an_address_that_decodes_to_another_gets_no_mail(
    open_with: Open, server: MailServer, hidden: str
) -> None:
    """A word of RFC 2047 in an address would be decoded in the head of the mail, with what it hides."""
    gateway = await open_with(mailing(server.port), sandbox=False)

    answer = await ask_for_code(gateway, f"=?utf-8?q?{hidden}?=@example.com")

    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"pointer": "/email", "code": "malformed_email"}]
    assert server.connections == 0


@pytest.mark.parametrize(
    ("address", "to"),
    [
        ("50%off+x'y@example.com", "50%off+x'y@example.com"),
        ("player@bücher.example", "player@xn--bcher-kva.example"),
        (" player@example.com\n", "player@example.com"),
    ],
)
async def test_odd_addresses_get_their_mail(open_with: Open, server: MailServer, address: str, to: str) -> None:
    gateway = await open_with(mailing(server.port), sandbox=False)

    answer = await ask_for_code(gateway, address)

    assert answer.status_code == 202
    assert server.mails[0].rcpt_tos == [to]
    assert server.message()["to"] == to


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("", {"game": 3}, "/email"),
        ("", {"game": 3, "email": 3}, "/email"),
        ("", {"game": 3, "email": PLAYER, "player_ref": "a b"}, "/player_ref"),
        ("", {"game": 3, "email": PLAYER, "code": "1"}, ""),
        ("/confirm", {"code": "1"}, "/challenge"),
        ("/confirm", {"challenge": "a", "code": 12345678}, "/code"),
    ],
)
async def test_bad_bodies(gateway: Asker, path: str, body: dict[str, object], pointer: str) -> None:
    answer = await gateway.http.post(f"/email-challenges{path}", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


async def test_an_unknown_game(gateway: Asker) -> None:
    assert (await ask_for_code(gateway, game="nothing")).json()["code"] == "unknown_game"


async def test_a_server_that_refuses_the_address_is_not_told_of(
    open_with: Open, server: MailServer, log: LogLines
) -> None:
    """The caller gets the same answer, and the log has it."""
    gateway = await open_with(mailing(server.port), sandbox=False)
    taken = await ask_for_code(gateway, "someone@example.com")
    server.to_recipient = "550 5.1.1 no such user"
    refused = await ask_for_code(gateway, "another@example.com")

    assert (refused.status_code, refused.headers.keys()) == (202, taken.headers.keys())
    assert len(refused.content) == len(taken.content)
    line = await log.line("mail_refused")
    assert len(line["subject"]) == 16
    assert b"another@example.com" not in log.written


@pytest.mark.parametrize(
    ("attribute", "reply"),
    [
        ("to_sender", "550 not you"),
        ("to_sender", "451 later"),
        ("to_recipient", "450 later"),
        ("to_data", "554 spam"),
        ("to_data", "421 going"),
    ],
)
async def test_a_server_that_takes_no_mail(
    open_with: Open, server: MailServer, log: LogLines, attribute: str, reply: str
) -> None:
    """503, and nothing is lost: when it is well, the same address may ask at once."""
    gateway = await open_with(mailing(server.port), sandbox=False)
    setattr(server, attribute, reply)
    failed = [await ask_for_code(gateway, player_ref="one") for _ in range(7)]
    setattr(server, attribute, None)
    sent = await ask_for_code(gateway, player_ref="one")

    assert {(answer.status_code, answer.json()["code"]) for answer in failed} == {(503, "mail_unavailable")}
    assert {answer.headers["retry-after"] for answer in failed} == {"10"}
    assert sent.status_code == 202
    await log.line("mail_server_found")
    assert [line["why"] for line in log.lines("mail_server_lost")] == [reply[:3]]
    assert await gateway.metric("challenges_total", result="failed") == 7


async def test_a_server_that_is_away(open_with: Open) -> None:
    gateway = await open_with(mailing(9), sandbox=False)
    answer = await ask_for_code(gateway)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "mail_unavailable", "10")


@pytest.mark.parametrize(("at", "sent"), [("MAIL", 0), ("RCPT", 0), ("DATA", 1)])
async def test_a_server_that_hangs(open_with: Open, server: MailServer, clock: FakeClock, at: str, sent: int) -> None:
    """Five seconds in all. A mail that may be on its way is not sent a second time within a minute."""
    gateway = await open_with(mailing(server.port), sandbox=False)
    server.hangs_at = at
    asked = asyncio.create_task(ask_for_code(gateway))
    await until(lambda: at in server.commands)
    await clock.advance(timedelta(seconds=5))
    answer = await asked

    assert (answer.status_code, answer.json()["code"]) == (503, "mail_unavailable")
    assert answer.headers["retry-after"] == ("60" if sent else "10")
    second = asyncio.create_task(ask_for_code(gateway))
    await until(lambda: second.done() or server.commands.count(at) == 2)
    await clock.advance(timedelta(seconds=5))
    assert (await second).status_code == (429 if sent else 503)
    assert len(server.mails) == sent


async def test_four_mails_at_once(open_with: Open, server: MailServer, clock: FakeClock) -> None:
    """More wait for their turn, within the same five seconds."""
    gateway = await open_with(mailing(server.port), sandbox=False)
    server.hangs_at = "RCPT"
    asked = [asyncio.create_task(ask_for_code(gateway, f"p{n}@example.com")) for n in range(9)]
    await until(lambda: server.commands.count("RCPT") == 4)
    await asyncio.sleep(0.05)
    assert server.connections == 4
    await clock.advance(timedelta(seconds=5))

    assert {(await one).status_code for one in asked} == {503}


async def test_all_replicas_count_together(
    open_with: Open, server: MailServer, empty_redis: Redis, redis_url: str
) -> None:
    """With one Redis: tries at a code, and mails to an address; what Redis holds tells neither."""
    toml = f'{mailing(server.port)}[redis]\nurl = "{redis_url}"\n'
    one, two = await open_with(toml, sandbox=False), await open_with(toml, sandbox=False)
    begun = (await ask_for_code(one)).json()
    elsewhere = await ask_for_code(two)
    code = server.code()
    tries = [await confirm(gateway, begun["challenge"], wrong(code)) for gateway in (one, two, one, two, one, two)]

    assert (elsewhere.status_code, elsewhere.json()["code"]) == (429, "too_many_challenges")
    assert [result["tries_left"] for result in tries] == [4, 3, 2, 1, 0, 0]
    assert tries[-1]["reason"] == "no_tries_left"
    assert (await confirm(two, begun["challenge"], code))["reason"] == "no_tries_left"
    keys = await empty_redis.keys("og:v2:[hm]:*")
    values = [str(await empty_redis.get(key)) for key in keys]
    assert len(keys) == 2
    assert PLAYER not in "".join([*map(str, keys), *values])
    assert min([await empty_redis.pttl(key) for key in keys]) > 0


async def test_off(open_with: Open) -> None:
    """No route, no series, no import."""
    ours = ("service.proofs", "aiosmtplib", "aiosmtpd", "service.wiring.mail_parts", "service.api.email_challenges")
    kept = {name: sys.modules.pop(name) for name in [name for name in sys.modules if name.startswith(ours)]}
    try:
        gateway = await open_with(
            f'[itch]\napi_key = "{SELLER_KEY}"\nbase_url = "http://127.0.0.1:9"\n{X_MOON}', sandbox=False
        )
        answers = [
            await ask_for_code(gateway),
            await gateway.http.post("/email-challenges/confirm", json={}),
            await prove(gateway, "abc"),
        ]
        described = await gateway.http.get("/openapi.json")
        imported = [name for name in sys.modules if name.startswith(ours)]
    finally:
        sys.modules.update(kept)

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_enabled")] * 3
    assert "mail.url" in answers[0].json()["detail"]
    assert described.status_code == 200
    assert "challenge" not in (await gateway.http.get("/metrics")).text
    assert imported == []
