"""Any bad input gets a clear answer that does not repeat it, and costs the store nothing."""

import base64
import json
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.ownership import Method
from tests.gateways import PATHS, Asker, store_calls
from tests.http.serving import listening

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "canary-7f3a91"
PUBLISHED_KEY = b"the sandbox signs with this; it opens nothing anywhere else"
JSON = {"content-type": "application/json"}
KEY = {"game": 3, "download_key": "a" * 20}
JWT = {"game": 3}
EMAIL = {"game": 3, "email": "player@example.com"}
USER = {"game": 3, "user_id": 1994}


def in_bytes(body: object) -> bytes:
    """Return a body as it is sent."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def jwt_of(header: object, claims: object, signature: str = "c2ln") -> str:
    """Return a JWT with this header and these claims."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)]
    return ".".join([*parts, signature])


HS256 = {"alg": "HS256", "typ": "JWT"}

NOT_QUESTIONS: list[tuple[str, bytes | object, str, str]] = [
    ("/verify/download-key", b"", "unreadable_json", ""),
    ("/verify/download-key", b"{", "unreadable_json", ""),
    ("/verify/download-key", b"null", "wrong_type", ""),
    ("/verify/download-key", b"[]", "wrong_type", ""),
    ("/verify/download-key", b'"text"', "wrong_type", ""),
    ("/verify/download-key", in_bytes(KEY) + b"{}", "unreadable_json", ""),
    ("/verify/download-key", b"\xef\xbb\xbf{}", "unreadable_json", ""),
    ("/verify/download-key", b'{"game": NaN}', "unreadable_json", ""),
    ("/verify/download-key", b'{"game": 3, "download_key": "\xff"}', "unreadable_json", ""),
    ("/verify/download-key", b'{"game": 3, "download_key": "\\ud800"}', "unreadable_json", ""),
    ("/verify/download-key", b'{"game": 3, "\xff": 1}', "unreadable_json", ""),
    ("/verify/download-key", '{"game": 3}'.encode("utf-16"), "unreadable_json", ""),
    ("/verify/download-key", b"[" * 16_000, "wrong_type", ""),
    ("/verify/download-key", b'{"a":' * 3_000, "unknown_field", ""),
    ("/verify/download-key", {"download_key": "a" * 20}, "missing_field", "/game"),
    ("/verify/download-key", {"game": 3}, "missing_field", "/download_key"),
    ("/verify/download-key", KEY | {"surprise": 1}, "unknown_field", ""),
    ("/verify/download-key", KEY | {"jwt": "a.b.c"}, "unknown_field", "/jwt"),
    ("/verify/download-key", KEY | {"email": "a@example.com"}, "unknown_field", "/email"),
    ("/verify/download-key", KEY | {"user_id": 1994}, "unknown_field", "/user_id"),
    ("/verify/download-key", KEY | {"download_key": 7}, "wrong_type", "/download_key"),
    ("/verify/download-key", KEY | {"download_key": None}, "wrong_type", "/download_key"),
    ("/verify/download-key", KEY | {"download_key": ["a" * 20]}, "wrong_type", "/download_key"),
    ("/verify/download-key", KEY | {"game": 3.0, "download_key": [1.0]}, "wrong_type", "/download_key"),
    ("/verify/download-key", KEY | {"game": None}, "wrong_type", "/game"),
    ("/verify/download-key", KEY | {"game": True}, "wrong_type", "/game"),
    ("/verify/download-key", KEY | {"game": 3.5}, "wrong_type", "/game"),
    ("/verify/download-key", KEY | {"game": 0}, "out_of_range", "/game"),
    ("/verify/download-key", KEY | {"game": -3}, "out_of_range", "/game"),
    ("/verify/download-key", KEY | {"game": 2**53}, "out_of_range", "/game"),
    ("/verify/download-key", KEY | {"game": 2**70}, "out_of_range", "/game"),
    ("/verify/download-key", KEY | {"game": ""}, "out_of_range", "/game"),
    ("/verify/download-key", KEY | {"game": "3/../../profile"}, "out_of_range", "/game"),
    ("/verify/download-key", KEY | {"game": "3?user_id=1&x="}, "out_of_range", "/game"),
    ("/verify/download-key", KEY | {"game": "-3"}, "out_of_range", "/game"),
    ("/verify/download-key", KEY | {"game": "X-Moon"}, "out_of_range", "/game"),
    ("/verify/download-key", KEY | {"game": "a" * 65}, "out_of_range", "/game"),
    ("/verify/download-key", KEY | {"max_age": -1}, "out_of_range", "/max_age"),
    ("/verify/download-key", KEY | {"max_age": 2**31}, "out_of_range", "/max_age"),
    ("/verify/download-key", KEY | {"max_age": 1.5}, "wrong_type", "/max_age"),
    ("/verify/download-key", KEY | {"max_age": "0"}, "wrong_type", "/max_age"),
    ("/verify/download-key", KEY | {"only_if_cached": 1}, "wrong_type", "/only_if_cached"),
    ("/verify/download-key", KEY | {"only_if_cached": None}, "wrong_type", "/only_if_cached"),
    ("/verify/download-key", KEY | {"deadline_ms": 49}, "out_of_range", "/deadline_ms"),
    ("/verify/download-key", KEY | {"deadline_ms": 10_001}, "out_of_range", "/deadline_ms"),
    ("/verify/download-key", KEY | {"deadline_ms": "50"}, "wrong_type", "/deadline_ms"),
    ("/verify/jwt", JWT, "missing_field", "/jwt"),
    ("/verify/jwt", JWT | {"jwt": 1}, "wrong_type", "/jwt"),
    ("/verify/jwt", JWT | {"jwt": "a.b.c", "download_key": "x"}, "unknown_field", "/download_key"),
    ("/verify/email", EMAIL | {"email": ""}, "malformed_email", "/email"),
    ("/verify/email", EMAIL | {"email": "player"}, "malformed_email", "/email"),
    ("/verify/email", EMAIL | {"email": "a@b@example.com"}, "malformed_email", "/email"),
    ("/verify/email", EMAIL | {"email": '"a b"@example.com'}, "malformed_email", "/email"),
    ("/verify/email", EMAIL | {"email": "a@example.com\r\nX: y"}, "malformed_email", "/email"),
    ("/verify/email", EMAIL | {"email": "a@example.com\0"}, "malformed_email", "/email"),
    ("/verify/email", EMAIL | {"email": "pl\N{CYRILLIC SMALL LETTER A}yer@example.com"}, "malformed_email", "/email"),
    ("/verify/email", EMAIL | {"email": "a@localhost"}, "malformed_email", "/email"),
    ("/verify/email", EMAIL | {"email": "a@" + "b" * 64 + ".com"}, "malformed_email", "/email"),
    ("/verify/email", EMAIL | {"email": "a" * 250 + "@example.com"}, "malformed_email", "/email"),
    ("/verify/email", EMAIL | {"email": "a@xn--0.example"}, "malformed_email", "/email"),
    ("/verify/user", USER | {"user_id": 0}, "out_of_range", "/user_id"),
    ("/verify/user", USER | {"user_id": -1}, "out_of_range", "/user_id"),
    ("/verify/user", USER | {"user_id": 2**53}, "out_of_range", "/user_id"),
    ("/verify/user", USER | {"user_id": 2**70}, "out_of_range", "/user_id"),
    ("/verify/user", USER | {"user_id": "1994"}, "wrong_type", "/user_id"),
    ("/verify/user", USER | {"user_id": 1994.5}, "wrong_type", "/user_id"),
    ("/verify/batch", {}, "missing_field", "/items"),
    ("/verify/batch", {"items": []}, "out_of_range", "/items"),
    ("/verify/batch", {"items": [1] * 101}, "out_of_range", "/items"),
    ("/verify/batch", {"items": "all"}, "wrong_type", "/items"),
    ("/verify/batch", {"items": [7]}, "wrong_type", "/items/0"),
    ("/verify/batch", {"items": [{"id": "a"}, {}]}, "missing_field", "/items/1/id"),
    ("/verify/batch", {"items": [{"id": ""}]}, "out_of_range", "/items/0/id"),
    ("/verify/batch", {"items": [{"id": "a" * 129}]}, "out_of_range", "/items/0/id"),
    ("/verify/batch", {"items": [{"id": 1}]}, "wrong_type", "/items/0/id"),
    ("/verify/batch", {"items": [{"id": "a"}, {"id": "b"}, {"id": "a"}]}, "duplicate_id", "/items/2/id"),
    ("/verify/batch", {"items": [{"id": "a"}], "game": 3}, "unknown_field", "/game"),
    ("/verify/batch", b'{"items": [{"id": "\xff"}]}', "unreadable_json", "/items/0"),
    ("/verify/batch", b'{"items": ' + b"[" * 16_000, "unreadable_json", ""),
]

NO_CREDENTIALS: list[tuple[Method, str, str]] = [
    (Method.DOWNLOAD_KEY, "", "malformed_download_key"),
    (Method.DOWNLOAD_KEY, "with spaces in between", "malformed_download_key"),
    (Method.DOWNLOAD_KEY, "with/slash/in/it", "malformed_download_key"),
    (Method.DOWNLOAD_KEY, "../../profile", "malformed_download_key"),
    (Method.DOWNLOAD_KEY, "abcdefgh\0ijklmnop", "malformed_download_key"),
    (Method.DOWNLOAD_KEY, "abcdefgh\r\nX-Header: 1", "malformed_download_key"),
    (Method.DOWNLOAD_KEY, "abcdefgh&user_id=1994", "malformed_download_key"),
    (Method.DOWNLOAD_KEY, "аbcdefghijklmnopqrst", "malformed_download_key"),  # noqa: RUF001 - a look-alike is the point
    (Method.DOWNLOAD_KEY, "\N{FULLWIDTH LATIN SMALL LETTER A}bcdefghijklmnopqrst", "malformed_download_key"),
    (Method.DOWNLOAD_KEY, "\N{ARABIC-INDIC DIGIT THREE}" * 20, "malformed_download_key"),
    (Method.DOWNLOAD_KEY, "short", "malformed_download_key"),
    (Method.DOWNLOAD_KEY, "a" * 65, "malformed_download_key"),
    (Method.DOWNLOAD_KEY, "a" * 15_000, "malformed_download_key"),
    (Method.JWT, "", "malformed_jwt"),
    (Method.JWT, "a" * 40, "api_key_not_accepted"),
    (Method.JWT, "aaaa.bbbb", "malformed_jwt"),
    (Method.JWT, "aaaa.bbbb.cccc.dddd", "malformed_jwt"),
    (Method.JWT, "..", "malformed_jwt"),
    (Method.JWT, jwt_of({"alg": "none"}, {"sub": "1994"}, ""), "malformed_jwt"),
    (Method.JWT, jwt_of({"alg": "none"}, {"sub": "1994"}), "malformed_jwt"),
    (Method.JWT, jwt_of({"alg": "NONE"}, {"sub": "1994"}), "malformed_jwt"),
    (Method.JWT, jwt_of({"alg": "RS256"}, {"sub": "1994"}), "malformed_jwt"),
    (Method.JWT, jwt_of({}, {"sub": "1994"}), "malformed_jwt"),
    (Method.JWT, jwt_of([], {"sub": "1994"}), "malformed_jwt"),
    (Method.JWT, jwt_of(HS256, {}), "malformed_jwt"),
    (Method.JWT, jwt_of(HS256, []), "malformed_jwt"),
    (Method.JWT, jwt_of(HS256, {"sub": "a" * 4096}), "malformed_jwt"),
    (Method.JWT, jwt_of(HS256, {"sub": "1994"}) + "\r\nX: y", "malformed_jwt"),
    (Method.JWT, "Bearer " + jwt_of(HS256, {"sub": "1994"}), "malformed_jwt"),
    (Method.JWT, "not+base64.not/base64.c2ln", "malformed_jwt"),
    (Method.JWT, "A.A.A", "malformed_jwt"),
    (Method.JWT, "a." * 5_000, "malformed_jwt"),
]


@pytest.fixture
def gateway(shared: Asker) -> Asker:
    """The gateway of this module; its store has been asked nothing."""
    shared.sandbox.journal.clear()
    return shared


async def test_an_item_nested_deeply_is_refused(gateway: Asker) -> None:
    """As a whole or by itself: how deep is too deep to read depends on the version of Python."""
    body = b'{"items": [{"id": "a", "x": ' + b"[" * 7_000 + b"]" * 7_000 + b"}]}"

    response = await gateway.http.post("/verify/batch", content=body, headers=JSON)

    told = response.json()
    assert (told["results"][0] if response.status_code == 200 else told)["status"] == 400


@pytest.mark.parametrize(("path", "body", "code", "pointer"), NOT_QUESTIONS)
async def test_what_is_no_question_is_refused_with_a_pointer(
    gateway: Asker, path: str, body: object, code: str, pointer: str
) -> None:
    """400 says what is wrong and where, and the store is not asked."""
    response = await gateway.http.post(path, content=in_bytes(body), headers=JSON)

    problem = response.json()
    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
    assert (problem["code"], problem["errors"]) == (code, [{"pointer": pointer, "code": code}])
    assert store_calls(gateway.sandbox) == 0


@pytest.mark.parametrize(
    "body", [b'{"game": 3.0, "user_id": 1994.0}', b'{"game": 3, "user_id": 1.994e3, "max_age": 60.0}']
)
async def test_whole_number_is_an_integer_however_it_is_written(gateway: Asker, body: bytes) -> None:
    """JSON Schema has it so, and some engines know no other way to write numbers."""
    response = await gateway.http.post("/verify/user", content=body, headers=JSON)

    assert response.json()["player"]["id"] == 1994


@pytest.mark.parametrize("number", ["1994.0000001", "1e300", "-0.0", "9007199254740992.0"])
async def test_other_numbers_are_no_ids(gateway: Asker, number: str) -> None:
    """A fraction is no id, and neither is a number out of bounds."""
    body = '{"game": 3, "user_id": %s}' % number  # noqa: UP031 - braces are JSON's here

    response = await gateway.http.post("/verify/user", content=body.encode(), headers=JSON)

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/user_id")


async def test_problem_has_exactly_these_fields(gateway: Asker) -> None:
    """The whole body of a 400."""
    response = await gateway.http.post(
        "/verify/user", json={"game": 3, "user_id": 0}, headers={"x-request-id": "request-1"}
    )

    assert response.json() == {
        "type": "/docs#out_of_range",
        "title": "The body is not a question that the gateway understands",
        "status": 400,
        "code": "out_of_range",
        "request_id": "request-1",
        "detail": "Expected `integer` >= 1",
        "errors": [{"pointer": "/user_id", "code": "out_of_range"}],
    }


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/verify/download-key", "game, download_key, max_age, only_if_cached, deadline_ms, player_ref"),
        ("/verify/jwt", "game, jwt, max_age, only_if_cached, deadline_ms"),
        ("/verify/email", "game, max_age, only_if_cached, deadline_ms, email, proof, nonce"),
        ("/verify/user", "game, user_id, max_age, only_if_cached, deadline_ms"),
        ("/verify/pass", "game, pass, max_age, only_if_cached, deadline_ms, player_ref"),
        ("/verify/batch", "items"),
        ("/admin/invalidate", "game, download_key, email, user_id"),
        ("/admin/revocations", "game, believe, seconds"),
    ],
)
async def test_unknown_field_gets_the_list_of_those_that_there_are(gateway: Asker, path: str, fields: str) -> None:
    """A typo is mended without a look into the docs; what was sent is not repeated."""
    response = await gateway.http.post(path, json={"typo": "canary"})

    assert response.json()["detail"] == f"there is no such field here; there are: {fields}"


async def test_unknown_field_of_an_item_gets_the_list_of_those_that_there_are(gateway: Asker) -> None:
    """Of an item, the list has the fields of each method."""
    item = {"id": "a", "method": "user", "game": 3, "user_id": 1994, "typo": 1}

    response = await gateway.http.post("/verify/batch", json={"items": [item]})

    (result,) = response.json()["results"]
    assert result["problem"]["detail"] == (
        "there is no such field here; there are: game, id, max_age, only_if_cached, deadline_ms, method, "
        "and for its method one of download_key, player_ref, jwt, email, proof, nonce, user_id, pass, access_token"
    )


@pytest.mark.parametrize(("method", "text", "reason"), NO_CREDENTIALS)
async def test_what_is_no_credential_is_rejected(gateway: Asker, method: Method, text: str, reason: str) -> None:
    """A player's malformed credential is an answer, `rejected`, and the store is not asked."""
    response = await gateway.ask(method, text)

    body = response.json()
    assert (response.status_code, body["outcome"], body["reason"]) == (200, "rejected", reason)
    assert store_calls(gateway.sandbox) == 0


@pytest.mark.parametrize(
    "claims",
    [
        {"game_id": 2**53},
        {"game_id": 2**70},
        {"game_id": int("9" * 2000)},
        {"game_id": "9" * 2000},
        {"game_id": -3},
        {"game_id": 3.0},
        {"game_id": [3]},
        {"game_id": {"id": 3}},
        {"user_id": 1994.0},
        {"user_id": ["1994"]},
    ],
    ids=lambda claims: repr(claims)[:30],
)
async def test_odd_claim_of_an_accepted_jwt_lets_nobody_in(gateway: Asker, claims: dict[str, Any]) -> None:
    """The claim may be the one that would restrict the JWT, and a number of any size is no bug of ours."""
    good = gateway.sandbox.mint_jwt(1994).jwt
    odd = jwt.encode(jwt.decode(good, options={"verify_signature": False}) | claims, PUBLISHED_KEY, algorithm="HS256")

    accepted, rejected = await gateway.jwt(good), await gateway.jwt(odd)

    assert (accepted.status_code, accepted.json()["outcome"]) == (200, "owned")
    assert (rejected.status_code, rejected.json()["reason"]) == (200, "refused_jwt")
    gateway.sandbox.journal.clear()


@pytest.mark.parametrize("game", [99, "99", "no-such-game", 2**53 - 1, "9" * 30, "x-moon\n"])
async def test_unknown_game_is_not_found(gateway: Asker, game: int | str) -> None:
    """404 is about games and routes, never about players."""
    response = await gateway.key("a" * 20, game=game)

    assert (response.status_code, response.json()["code"]) == (404, "unknown_game")
    assert store_calls(gateway.sandbox) == 0


@pytest.mark.parametrize("game", ["9" * 30, "\N{ARABIC-INDIC DIGIT THREE}", "99999999999999999"])
async def test_number_that_is_no_id_is_no_game(gateway: Asker, game: str) -> None:
    """Text that looks like a number to Python is not a game for that."""
    assert (await gateway.key("a" * 20, game=game)).status_code in (400, 404)


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON", 200),
        ("application/json; charset=utf-8", 200),
        ('application/json;charset="UTF-8"', 200),
        ("application/json; charset=latin-1", 415),
        ("application/json; charset=utf8", 200),
        ("application/json; charset=utf-8; profile=x", 200),
        ("application/json; profile=x", 200),
        ("application/json; charset=", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/problem+json", 415),
        ("", 415),
    ],
)
async def test_only_json_is_taken(gateway: Asker, media_type: str, status: int) -> None:
    """415 for everything else, also for what a browser can send across sites without asking."""
    response = await gateway.http.post(
        "/verify/jwt", content=b'{"game": 3, "jwt": ""}', headers={"content-type": media_type}
    )

    assert response.status_code == status
    assert response.json().get("code", "unsupported_media_type") == "unsupported_media_type"


@pytest.mark.parametrize("path", [*PATHS.values(), "/verify/batch"])
async def test_body_without_a_media_type_is_refused(gateway: Asker, path: str) -> None:
    """A body of unknown type is not parsed."""
    response = await gateway.http.post(path, content=b"{}")

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("path", [*PATHS.values(), "/verify/batch"])
async def test_large_body_is_refused_unread(gateway: Asker, path: str) -> None:
    """A body that announces 50 MB is not waited for, and the refusal is counted."""
    head = f"POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-length: 50000000\r\n\r\n"
    before = await gateway.metric("refused_total", cause="body_too_large")
    async with listening(gateway.gateway.http) as server:
        status, body = await server.ask(head.encode())

    assert (status, json.loads(body)["code"]) == (413, "body_too_large")
    assert await gateway.metric("refused_total", cause="body_too_large") == before + 1


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset*" + "9" * 5000 + "=x", 'application/json; a="' + ";" * 28_000],
    ids=["a number of 5 000 digits", "28 000 semicolons"],
)
@pytest.mark.parametrize("path", ["/verify/jwt", "/verify/batch"])
async def test_endless_content_type_is_refused_unparsed(gateway: Asker, path: str, content_type: str) -> None:
    """The standard library's parser raises for the first and takes a second for the second."""
    headers = {"content-type": content_type}
    response = await gateway.http.post(path, content=b'{"game": 3, "jwt": ""}', headers=headers)

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity"])
async def test_compressed_body_is_refused(gateway: Asker, encoding: str) -> None:
    """The status is 415 for any content: a body of 300 KB could become gigabytes."""
    headers = {**JSON, "content-encoding": encoding}
    answers = [
        await gateway.http.post(path, content=b'{"game": 3, "jwt": ""}', headers=headers)
        for path in ("/verify/jwt", "/verify/batch")
    ]

    assert [answer.status_code for answer in answers] == [415, 415]


@pytest.mark.parametrize(("length", "status"), [(16_384, 200), (16_385, 413)])
async def test_body_may_have_16_kib_and_no_more(gateway: Asker, length: int, status: int) -> None:
    """The bound, from both sides."""
    body = b'{"game": 3, "jwt": ""}'.ljust(length)

    assert (await gateway.http.post("/verify/jwt", content=body, headers=JSON)).status_code == status


async def test_key_of_40_kb_is_too_large(gateway: Asker) -> None:
    """A key of such a size is refused unread."""
    assert (await gateway.key("a" * 40_000)).status_code == 413


async def test_bad_host_header_is_refused(gateway: Asker) -> None:
    """The framework's own refusals are problems like any other."""
    response = await gateway.http.get("/livez", headers={"host": f"{CANARY} {CANARY}"})

    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
    assert CANARY not in response.text


@pytest.mark.parametrize("path", ["/verify", "/verify/key", "/schema", "/schema/openapi.json", "/docs/key", "/admin"])
async def test_unknown_route_is_not_found(gateway: Asker, path: str) -> None:
    """404 as a problem; the framework's own documentation pages are not there."""
    response = await gateway.http.get(path, params={"q": CANARY})

    assert (response.status_code, response.json()["code"]) == (404, "unknown_route")
    assert CANARY not in response.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", [*PATHS.values(), "/verify/batch"])
async def test_other_methods_are_not_allowed(gateway: Asker, method: str, path: str) -> None:
    """405 says which are (RFC 9110 15.5.6)."""
    response = await gateway.http.request(method, path, params={"q": CANARY})

    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert "POST" in response.headers["allow"]
    assert CANARY not in response.text


@pytest.mark.parametrize(
    "body",
    [
        {CANARY: 1},
        {"game": CANARY.upper()},
        {"game": 3, "download_key": {CANARY: CANARY}},
        {"game": 3, "download_key": "a" * 20, CANARY: CANARY},
        {"game": 3, "download_key": f"{CANARY} {CANARY}"},
        {"game": CANARY, "download_key": CANARY},
        {"game": {CANARY: 3}, "download_key": CANARY},
        {"items": [{"id": "a", "method": CANARY, "game": 3}]},
        {"items": [{"id": "a", "method": "email", "game": 3, "email": CANARY, CANARY: CANARY}]},
    ],
)
@pytest.mark.parametrize("path", [*PATHS.values(), "/verify/batch"])
async def test_no_input_value_is_ever_repeated(gateway: Asker, path: str, body: object) -> None:
    """Neither values nor the names of unknown fields come back."""
    response = await gateway.http.post(path, json=body, headers={"x-trace": CANARY})

    assert CANARY not in response.text.lower()
    assert CANARY not in str(response.headers).lower()


def fields() -> st.SearchStrategy[dict[str, Any]]:
    """Return almost-questions: our fields, with values that are near the mark and far from it."""
    texts = st.one_of(st.text(max_size=60), st.just(CANARY), st.text(alphabet="abc.:/@-_", max_size=60))
    values = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
        max_leaves=6,
    )
    names = ["download_key", "jwt", "email", "proof", "user_id", "max_age", "only_if_cached", "deadline_ms"]
    question = st.fixed_dictionaries(
        {"game": st.one_of(st.just(3), st.just("x-moon"), values)}, optional=dict.fromkeys([*names, CANARY], values)
    )
    items = st.lists(st.one_of(values, question), max_size=4)
    return st.one_of(question, st.fixed_dictionaries({"items": items}))


def bodies() -> st.SearchStrategy[bytes]:
    """Return bodies of every kind: noise, JSON, and JSON with bytes knocked out of it."""
    valid = fields().map(lambda body: json.dumps(body).encode())
    return st.one_of(
        st.binary(max_size=200),
        valid,
        st.tuples(valid, st.integers(0, 200), st.binary(max_size=3)).map(lambda it: it[0][: it[1]] + it[2]),
    )


@settings(max_examples=150)
@given(body=bodies(), path=st.sampled_from([*PATHS.values(), "/verify/batch"]))
async def test_any_body_gets_a_clear_answer(shared: Asker, body: bytes, path: str) -> None:
    """No body makes a bug show, and none comes back."""
    response = await shared.http.post(path, content=body, headers=JSON)

    assert response.status_code in (200, 400, 404, 413, 503)
    assert CANARY not in response.text


@settings(max_examples=100)
@given(
    headers=st.dictionaries(
        st.sampled_from(
            ["x-request-id", "traceparent", "authorization", "content-type", "x-forwarded-for", "accept", "cookie"]
        ),
        st.binary(max_size=200).map(lambda value: value.replace(b"\n", b"").replace(b"\r", b"").replace(b"\0", b"")),
    )
)
async def test_any_header_gets_a_clear_answer(shared: Asker, headers: dict[str, bytes]) -> None:
    """No header makes a bug show; control characters in a field are no HTTP."""
    lines = [b"%b: %b\r\n" % (name.encode(), value) for name, value in headers.items()]
    head = b"POST /verify/jwt HTTP/1.1\r\nhost: gateway\r\ncontent-length: 22\r\n" + b"".join(lines)
    async with listening(shared.gateway.http) as server:
        status, _ = await server.ask(head + b'\r\n{"game": 3, "jwt": ""}')

    control = any((byte < 32 and byte != 9) or byte == 127 for value in headers.values() for byte in value)
    assert status == 400 if control else status in (200, 415)
