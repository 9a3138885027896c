"""Many questions at once: each answered as if it had come alone."""

import json
from datetime import timedelta

import httpx
import pytest

from service.sandbox import seed
from service.sandbox.store_endpoints import StoreEndpoint
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, asked_store, befall, caller_lines, store_calls, until

LOBBY = "ogw_lobby-token-of-a-test-0000000000000"
OTHER_GAME = X_MOON + "\n[games.sun-garden]\nid = 4\n"


def key_item(name: str, key: str = seed.OWNER_KEY, **fields: object) -> dict[str, object]:
    """Return an item that asks about a download key."""
    return {"id": name, "method": "download_key", "game": 3, "download_key": key, **fields}


def user_item(name: str, user_id: int, **fields: object) -> dict[str, object]:
    """Return an item that asks about a user."""
    return {"id": name, "method": "user", "game": 3, "user_id": user_id, **fields}


def statuses(response: httpx.Response) -> dict[str, int]:
    """Return the status of each item by its id."""
    return {result["id"]: result["status"] for result in response.json()["results"]}


async def test_every_method_may_be_asked(gateway: Asker) -> None:
    """One item of each method, each with its own decision."""
    jwt = gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt

    response = await gateway.batch(
        key_item("a"),
        {"id": "b", "method": "jwt", "game": 3, "jwt": jwt},
        {"id": "c", "method": "email", "game": 3, "email": seed.BUYER_EMAIL},
        user_item("d", seed.BUNDLE_BUYER_ID),
    )

    decisions = [result["decision"] for result in response.json()["results"]]
    assert [(one["method"], one["reason"]) for one in decisions] == [
        ("download_key", "download_key"),
        ("jwt", "download_key"),
        ("email", "purchase"),
        ("user", "bundle_purchase"),
    ]


async def test_bug_in_one_item_is_that_ones_alone(open_with: Open, log: LogLines) -> None:
    """A bug fails one item, even after the store was asked: the others have their answers."""

    def broken(request: httpx.Request) -> httpx.Response:
        if "download_key=broken" in str(request.url):
            raise RuntimeError("a bug of a test")
        return httpx.Response(200, stream=httpx.ByteStream(b'{"errors":["invalid download key"]}'))

    gateway = await open_with(
        '[itch]\napi_key = "a-seller-key-of-a-test"\n' + X_MOON, sandbox=False, transport=httpx.MockTransport(broken)
    )

    response = await gateway.batch(key_item("a", "x" * 20), key_item("b", "broken-key"), key_item("c", "y" * 20))

    [_, problem, _] = response.json()["results"]
    assert statuses(response) == {"a": 200, "b": 500, "c": 200}
    assert problem["problem"]["code"] == "internal_error"
    assert (await log.line("bug"))["exception"][0]["type"] == "RuntimeError"


async def test_results_come_in_the_order_asked(gateway: Asker) -> None:
    """Order and ids stay, however long each item takes."""
    names = ["z", "7", "a", "Ä", "m/1"]

    response = await gateway.batch(*(key_item(name) for name in names))

    assert [result["id"] for result in response.json()["results"]] == names


async def test_result_of_an_item_is_the_answer_it_would_have_got_alone(gateway: Asker) -> None:
    """The decision is the whole body of a single answer."""
    alone = (await gateway.key(seed.OWNER_KEY)).json()

    response = await gateway.batch(key_item("a"))

    (result,) = response.json()["results"]
    assert set(result) == {"id", "status", "decision"}
    assert alone | {"decision_id": "", "cache": "memory"} == result["decision"] | {"decision_id": ""}


async def test_one_items_failure_touches_no_other(open_with: Open, clock: FakeClock) -> None:
    """Every kind of failure among good items, each with the problem that it would have got alone."""
    rights = json.dumps(["verify", "assert:email"])
    gateway = await open_with(OTHER_GAME + caller_lines("lobby", LOBBY, rights=rights, games='["x-moon"]'))
    await gateway.key(seed.OWNER_KEY, token=LOBBY)
    befall(gateway.sandbox, status=429, retry_after="7")

    response = await gateway.batch(
        key_item("good"),
        key_item("silent store", seed.MEDIUM_KEY),
        key_item("no such field", surprise=1),
        key_item("no such game", game=99),
        key_item("not your game", game=4),
        user_item("no such right", 1994),
        {"id": "no method", "game": 3},
        {"id": "odd method", "method": "magic", "game": 3},
        {"id": "bad address", "method": "email", "game": 3, "email": "nobody"},
        key_item("no key", "no key at all"),
        key_item("good again"),
        token=LOBBY,
    )

    assert statuses(response) == {
        "good": 200,
        "silent store": 503,
        "no such field": 400,
        "no such game": 404,
        "not your game": 403,
        "no such right": 403,
        "no method": 400,
        "odd method": 400,
        "bad address": 400,
        "no key": 200,
        "good again": 200,
    }
    assert response.status_code == 200


async def test_problem_of_an_item_points_into_the_batch(gateway: Asker) -> None:
    """Pointers start at the body that was sent."""
    response = await gateway.batch(key_item("a"), key_item("b", max_age=-1))

    problem = response.json()["results"][1]["problem"]
    assert problem["errors"] == [{"pointer": "/items/1/max_age", "code": "out_of_range"}]


async def test_problem_of_an_address_points_into_the_batch(gateway: Asker) -> None:
    """A malformed address is found later than other mistakes, and its pointer starts at the body too."""
    response = await gateway.batch({"id": "a", "method": "email", "game": 3, "email": "nobody"})

    problem = response.json()["results"][0]["problem"]
    assert problem["errors"] == [{"pointer": "/items/0/email", "code": "malformed_email"}]


async def test_problem_of_a_silent_store_says_when_to_come_back(gateway: Asker) -> None:
    """Items have no headers, so the body has it."""
    befall(gateway.sandbox, status=429, retry_after="7")

    response = await gateway.batch(key_item("a"))

    problem = response.json()["results"][0]["problem"]
    assert (problem["reason"], problem["allowed"], problem["retry_after_seconds"]) == ("source_rate_limited", False, 7)


@pytest.mark.parametrize("fields", [{}, {"max_age": 0}])
async def test_equal_questions_cost_one_look_up(gateway: Asker, fields: dict[str, object]) -> None:
    """A hundred times the same question, even with `max_age=0`: the store is asked once."""
    response = await gateway.batch(*(user_item(str(number), seed.OWNER_ID, **fields) for number in range(100)))

    assert set(statuses(response).values()) == {200}
    assert asked_store(gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS) == 1


async def test_equal_questions_get_a_decision_each(gateway: Asker) -> None:
    """Each item can be named in a support case."""
    response = await gateway.batch(key_item("a"), key_item("b"))

    ids = {result["decision"]["decision_id"] for result in response.json()["results"]}
    assert len(ids) == 2


async def test_hundred_items_are_taken(gateway: Asker) -> None:
    """The bound, from the side that is allowed; the other is among the bad input."""
    response = await gateway.batch(*(user_item(str(number), 10_000 + number) for number in range(100)))

    assert len(response.json()["results"]) == 100


async def test_each_item_counts_against_the_rate(open_with: Open) -> None:
    """A batch is no way around the caller's rate, and what is over it fails alone."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, rate="2"))

    response = await gateway.batch(*(key_item(str(number)) for number in range(6)), token=LOBBY)

    assert list(statuses(response).values()) == [200] * 4 + [429] * 2
    assert response.json()["results"][-1]["problem"]["retry_after_seconds"] == 1


@pytest.mark.parametrize("body", [b"no json", b'{"items": []}', b'{"items": [{"id": "a"}, {"id": "a"}]}'])
async def test_batch_that_cannot_be_read_counts_as_one_question(open_with: Open, body: bytes) -> None:
    """Reading it costs as much as reading a question that is none."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, rate="0.5"))
    headers = {"authorization": f"Bearer {LOBBY}", "content-type": "application/json"}

    first = await gateway.http.post("/verify/batch", content=body, headers=headers)
    second = await gateway.http.post("/verify/batch", content=body, headers=headers)

    assert (first.status_code, second.status_code) == (400, 429)


async def test_batch_is_no_way_around_the_budget_for_failed_keys(open_with: Open) -> None:
    """Keys that do not exist are counted one by one."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, rate="1000", failed_keys_per_minute="3"))

    response = await gateway.batch(*(key_item(str(n), f"guessed-key-{n:028}") for n in range(50)), token=LOBBY)

    assert list(statuses(response).values()) == [200] * 3 + [429] * 47
    assert asked_store(gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS) == 3


async def test_batch_needs_the_right_to_verify(open_with: Open) -> None:
    """403 for the whole batch without it."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, rights='["assert:user"]'))

    assert (await gateway.batch(user_item("a", 1994), token=LOBBY)).status_code == 403


async def test_batch_that_is_refused_asks_nobody(gateway: Asker) -> None:
    """Two items of one id: nothing is looked up at all."""
    response = await gateway.batch(key_item("a"), key_item("a"))

    assert response.status_code == 400
    assert store_calls(gateway.sandbox) == 0


async def test_deadline_is_each_items_own(gateway: Asker, clock: FakeClock) -> None:
    """A known item is answered; an item that allows no look-up gets no answer."""
    await gateway.key(seed.OWNER_KEY)
    clock.jump(timedelta(seconds=1))

    response = await gateway.batch(key_item("known"), key_item("new", seed.MEDIUM_KEY, only_if_cached=True))

    assert statuses(response) == {"known": 200, "new": 503}


async def test_lines_of_a_batch_share_its_request(gateway: Asker) -> None:
    """One line an item, all with the id of the request they came in."""
    await gateway.http.post(
        "/verify/batch", json={"items": [key_item("a"), key_item("b")]}, headers={"x-request-id": "request-1"}
    )

    await until(lambda: len(gateway.log.lines("verified")) == 2)
    assert {line["request_id"] for line in gateway.log.lines("verified")} == {"request-1"}
