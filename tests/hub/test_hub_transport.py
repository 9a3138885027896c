"""Connections to the hub that stay, and answers that must be those to their requests."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from service.causes import Cause
from service.errors import GatewayInTheWay, HubSilent, NoAnswer, SourceProtocolError
from service.hub.hub_client import Trust
from service.hub.hub_connection import HubConnection
from service.hub.hub_transport import HubTransport
from service.trust import trusting_context
from tests.cache.certificates import write_certificate
from tests.clock import FakeClock
from tests.gateways import until
from tests.hub.scripted_hub import Answers, Asked, Said, ScriptedHub, scripted_hub, written
from tests.stores.descriptors import no_descriptor_left
from tests.stores.raw_server import closed_port


def transport_to(url: str, clock: FakeClock, trust: Trust | None = None) -> HubTransport:
    """Return a transport that trusts what the system does."""
    current = trusting_context if trust is None else trust.current
    return HubTransport(base_url=url, trust=current, user_agent="tests", clock=clock)


async def ask(transport: HubTransport, *, most: int = 1000) -> bytes:
    """Send a request and return the body of its answer."""
    return (await transport.send("POST", "/any", fields={}, body=b"{}", most=most)).body


async def test_a_connection_is_used_again(clock: FakeClock) -> None:
    """And each request has an id of its own."""
    async with scripted_hub(lambda _: Said()) as hub:
        transport = transport_to(hub.url, clock)
        for _ in range(3):
            await ask(transport)
        await transport.close()

        assert hub.connections == 1
        assert len({asked.fields["x-request-id"] for asked in hub.asked}) == 3


async def test_questions_at_once_have_connections_of_their_own(clock: FakeClock) -> None:
    """No answer waits behind another one."""
    async with scripted_hub(lambda _: Said()) as hub:
        transport = transport_to(hub.url, clock)
        await asyncio.gather(*(ask(transport) for _ in range(100)))
        await asyncio.gather(*(ask(transport) for _ in range(100)))
        await transport.close()

        assert hub.connections == 100 + 36, "64 are kept"


@pytest.mark.parametrize("request_id", ["another", None])
async def test_an_answer_to_another_request_is_none(clock: FakeClock, request_id: str | None) -> None:
    """Its connection is closed: nothing that comes on it can be told apart any more."""
    async with scripted_hub(lambda _: Said(request_id=request_id)) as hub:
        transport = transport_to(hub.url, clock)
        with pytest.raises(SourceProtocolError):
            await ask(transport)
        hub.answers = lambda _: Said(body=b"good")

        assert await ask(transport) == b"good"
        assert hub.connections == 2
        await transport.close()


async def test_an_answer_of_a_balancer_is_silence(clock: FakeClock) -> None:
    """It has no id, because no gateway has seen the request."""
    async with scripted_hub(lambda _: Said(502, request_id=None)) as hub:
        transport = transport_to(hub.url, clock)
        with pytest.raises(HubSilent) as silent:
            await ask(transport)
        await transport.close()

    assert silent.value.cause is Cause.SERVER_ERROR


async def test_bytes_that_come_unasked_close_a_connection(clock: FakeClock) -> None:
    """They could be taken for the answer to the next question."""
    async with scripted_hub(lambda _: Said()) as hub:
        transport = transport_to(hub.url, clock)
        await ask(transport)
        await hub.send_unasked(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await until(lambda: not transport.open)

        assert await ask(transport) == b"{}"
        assert hub.connections == 2
        await transport.close()


@pytest.mark.parametrize("more", [Said(body=b"second"), b"garbage\r\n\r\n"])
async def test_more_than_an_answer_closes_a_connection(clock: FakeClock, more: Said | bytes) -> None:
    """The answer is good, if it has the right id."""

    def twice(asked: Asked) -> bytes:
        return written(Said(body=b"first"), asked) + (more if isinstance(more, bytes) else written(more, asked))

    async with scripted_hub(twice) as hub:
        transport = transport_to(hub.url, clock)

        assert [await ask(transport), await ask(transport)] == [b"first", b"first"]
        assert hub.connections == 2
        await transport.close()


async def test_a_connection_that_the_hub_closed_costs_no_question(clock: FakeClock) -> None:
    """It was closed while the request was on its way: the request is sent once more, on a new one."""
    async with scripted_hub(lambda _: Said()) as hub:
        transport = transport_to(hub.url, clock)
        await ask(transport)
        hub.answers = _close_once(hub)

        assert await ask(transport) == b"again"
        assert hub.connections == 2
        await transport.close()


def _close_once(hub: ScriptedHub) -> Answers:
    def answers(_: Asked) -> Said | None:
        hub.answers = lambda _: Said(body=b"again")
        hub.cut()
        return None

    return answers


@pytest.mark.parametrize("kept", [False, True])
async def test_a_request_is_sent_twice_at_most(clock: FakeClock, *, kept: bool) -> None:
    """On a new connection not even that: the hub has closed it because of the request."""
    async with scripted_hub(lambda _: Said()) as hub:
        transport = transport_to(hub.url, clock)
        if kept:
            await ask(transport)

        def cut(_: Asked) -> None:
            hub.cut()

        hub.answers = cut
        before = len(hub.asked)
        with pytest.raises(HubSilent) as silent:
            await ask(transport)

        assert (len(hub.asked) - before, silent.value.cause) == (2 if kept else 1, Cause.RESET)
        await transport.close()


async def test_half_an_answer_is_not_asked_for_again(clock: FakeClock) -> None:
    """The hub had begun to answer: what it did is done."""
    async with scripted_hub(lambda _: Said()) as hub:
        transport = transport_to(hub.url, clock)
        await ask(transport)

        def half(asked: Asked) -> bytes:
            asyncio.get_running_loop().call_later(0.01, hub.hang_up)
            return written(Said(body=b"whole"), asked)[:-3]

        hub.answers = half
        with pytest.raises(HubSilent):
            await ask(transport)

        assert len(hub.asked) == 2
        await transport.close()


async def test_an_idle_connection_is_not_trusted_for_long(clock: FakeClock) -> None:
    """Balancers forget it after a minute, without a word."""
    async with scripted_hub(lambda _: Said()) as hub:
        transport = transport_to(hub.url, clock)
        await ask(transport)
        clock.jump(timedelta(seconds=51))
        await ask(transport)

        assert hub.connections == 2
        await transport.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"X-Header: long\r\n" * 10_000,
    ],
)
async def test_what_is_no_answer_is_refused(clock: FakeClock, answer: bytes) -> None:
    """And the connection with it, before more of it is read."""
    async with scripted_hub(lambda _: answer) as hub:
        transport = transport_to(hub.url, clock)
        with pytest.raises(SourceProtocolError):
            await ask(transport)
        await until(lambda: not transport.open)


async def test_a_compressed_answer_is_refused(clock: FakeClock) -> None:
    """It was not asked for: 300 kB of it have been 300 MB."""
    async with scripted_hub(lambda _: Said(fields={"Content-Encoding": "gzip"})) as hub:
        transport = transport_to(hub.url, clock)
        with pytest.raises(SourceProtocolError, match="compressed"):
            await ask(transport)
        await transport.close()


async def test_an_answer_that_is_the_last_closes_its_connection(clock: FakeClock) -> None:
    """As a hub says that is being stopped."""
    async with scripted_hub(lambda _: Said(fields={"Connection": "close"})) as hub:
        transport = transport_to(hub.url, clock)
        await ask(transport)
        await ask(transport)

        assert hub.connections == 2
        await transport.close()


async def test_a_question_that_is_given_up_takes_its_connection_along(clock: FakeClock) -> None:
    """Its answer may come yet, and would be taken for the next one."""
    async with scripted_hub(lambda _: None) as hub:
        transport = transport_to(hub.url, clock)
        asking = asyncio.create_task(ask(transport))
        await until(lambda: hub.asked)
        asking.cancel()
        await asyncio.wait([asking])
        await until(lambda: not transport.open)
        hub.answers = lambda _: Said(body=b"next")

        assert await ask(transport) == b"next"
        await transport.close()


async def test_a_connection_carries_one_request_at_a_time(clock: FakeClock) -> None:
    """Two would have to be told apart by their order."""
    del clock
    connection = HubConnection(lost=lambda _: None)
    with pytest.raises(AssertionError):
        await connection.exchange(b"", most=0)
    connection.close()

    assert not connection.usable


async def test_a_closed_port_is_silence(clock: FakeClock) -> None:
    """With the system's own cause."""
    transport = transport_to(closed_port(), clock)
    with pytest.raises(HubSilent) as silent:
        await ask(transport)

    assert silent.value.cause is Cause.REFUSED


async def test_a_relay_without_descriptors_does_not_blame_the_hub(clock: FakeClock) -> None:
    """It could not ask."""
    async with scripted_hub(lambda _: Said()) as hub:
        transport = transport_to(hub.url, clock)
        with no_descriptor_left(), pytest.raises(GatewayInTheWay):
            await ask(transport)


def serving(directory: Path, *, address: str = "127.0.0.1") -> ssl.SSLContext:
    """Return a context that serves with a new certificate of that directory."""
    directory.mkdir(exist_ok=True)
    write_certificate(directory, address=address, subject=directory.name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    return context


async def test_a_hub_that_the_file_vouches_for_is_asked(tmp_path: Path, clock: FakeClock) -> None:
    """Its connections are kept, too."""
    tls = serving(tmp_path / "one")
    trust = Trust(tmp_path / "one" / "certificate.pem", clock=clock, unusable=pytest.fail)
    async with scripted_hub(lambda _: Said(), tls=tls) as hub:
        transport = transport_to(hub.url, clock, trust)
        for _ in range(2):
            assert await ask(transport) == b"{}"
        await transport.close()

        assert hub.connections == 1


@pytest.mark.parametrize(
    ("trusted", "address", "cause"), [("other", "127.0.0.1", Cause.TLS_UNTRUSTED), ("one", "127.0.0.2", Cause.TLS_NAME)]
)
async def test_a_false_hub_gets_no_question(
    tmp_path: Path, clock: FakeClock, trusted: str, address: str, cause: Cause
) -> None:
    """One with a certificate of its own making, and one of another name."""
    serving(tmp_path / "other")
    tls = serving(tmp_path / "one", address=address)
    trust = Trust(tmp_path / trusted / "certificate.pem", clock=clock, unusable=pytest.fail)
    async with scripted_hub(lambda _: Said(), tls=tls) as hub:
        transport = transport_to(hub.url, clock, trust)
        with pytest.raises(NoAnswer) as refused:
            await ask(transport)

    assert (hub.asked, refused.value.cause) == ([], cause)


async def test_another_authority_in_the_file_counts_within_a_second(tmp_path: Path, clock: FakeClock) -> None:
    """Connections of before are not used any more."""
    first, second = serving(tmp_path / "one"), serving(tmp_path / "two")
    file = tmp_path / "ca.pem"
    file.write_bytes((tmp_path / "one" / "certificate.pem").read_bytes())
    trust = Trust(file, clock=clock, unusable=pytest.fail)
    async with scripted_hub(lambda _: Said(), tls=first) as old, scripted_hub(lambda _: Said(), tls=second) as new:
        transports = [transport_to(hub.url, clock, trust) for hub in (old, new)]
        await ask(transports[0])
        _replace(file, (tmp_path / "two" / "certificate.pem").read_bytes())
        clock.jump(timedelta(seconds=1))

        assert await ask(transports[1]) == b"{}"
        with pytest.raises(HubSilent):
            await ask(transports[0])
        for transport in transports:
            await transport.close()


async def test_a_file_without_authorities_changes_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """The authorities read before count on, and it is said once."""
    serving(tmp_path / "one")
    file, told = tmp_path / "one" / "certificate.pem", list[str]()
    trust = Trust(file, clock=clock, unusable=told.append)
    before = trust.current()
    _replace(file, b"no certificate")
    for _ in range(3):
        clock.jump(timedelta(seconds=1))
        assert trust.current() is before

    assert told == ["SSLError"]


def _replace(file: Path, content: bytes) -> None:
    other = file.with_suffix(".new")
    other.write_bytes(content)
    other.replace(file)
