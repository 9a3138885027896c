"""`proof` in `/verify/email`: an id token of the player's in the place of the caller's word."""

import sys
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from service.sandbox import seed
from tests.api.conftest import Open
from tests.gateways import X_MOON, Asker, LogLines, caller_lines, store_calls
from tests.proofs.identities import CLIENT, Identities
from tests.proofs.test_key_documents import http, https

ISSUER: Final = f'\n[[oidc]]\nissuer = "https://id.studio.example"\naudiences = ["{CLIENT}"]\n'
LOBBY: Final = "ogw_lobby-lobby-lobby-lobby-lobby-lobby-lobby-lo"
IDENTITIES: Final = Identities()


def good(**claims: Any) -> str:
    """Return an id token of a buyer's."""
    return IDENTITIES.token({"email": seed.BUYER_EMAIL, **claims})


async def prove(gateway: Asker, proof: str, *, token: str | None = None, **fields: Any) -> httpx.Response:
    """Ask with a proof, and no address unless one is given."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await gateway.http.post("/verify/email", json={"game": 3, "proof": proof, **fields}, headers=headers)


@pytest.fixture
async def gateway(open_with: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A gateway whose issuer really serves its keys, and a caller that may vouch for no address."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    async with https(tmp_path, http(IDENTITIES.jwks())) as url:
        toml = X_MOON + caller_lines("lobby", LOBBY, rights='["verify", "pass", "support"]')
        yield await open_with(toml + ISSUER + f'jwks_url = "{url}"\n')


async def test_a_proven_address_is_asked_about_as_any(gateway: Asker, log: LogLines) -> None:
    """By a caller that may not vouch, in a batch, and for a pass; the line names the address, and not the token."""
    alone = await prove(gateway, good(), token=LOBBY)
    body = {"id": "a", "method": "email", "game": 3, "proof": good()}
    batch = await gateway.batch(body, token=LOBBY)
    order = {"method": "email", "game": 3, "proof": good()}
    ordered = await gateway.http.post("/passes", json=order, headers={"authorization": f"Bearer {LOBBY}"})

    assert (alone.json()["allowed"], alone.json()["reason"], alone.json()["method"]) == (True, "purchase", "email")
    assert batch.json()["results"][0]["decision"]["allowed"] is True
    assert ordered.json()["pass"] is not None
    line = await log.line("verified")
    assert (line["method"], len(line["subject"])) == ("email", 16)
    assert good().encode() not in log.written
    assert await gateway.metric("issuer_keys_ok", issuer="1") == 1


async def test_a_sandbox_is_an_issuer(open_with: Open) -> None:
    """Of tokens for the audience `sandbox` that say that the address is verified, without being configured."""
    gateway = await open_with(X_MOON)

    async def answer(*, shown: str | None = None, **claims: Any) -> str:
        """Return the reason of the answer about an address that a token of the sandbox's is to prove."""
        minted = await gateway.http.post("/sandbox/id-tokens", json={"email": seed.BUYER_EMAIL, **claims})
        fields = {} if shown is None else {"nonce": shown}
        return str((await prove(gateway, minted.json()["id_token"], **fields)).json()["reason"])

    assert await answer() == await answer(nonce="n-7", shown="n-7") == "purchase"
    assert await answer(nonce="n-7") == await answer(shown="n-7") == "email_not_verified"
    for claims in ({"email_verified": False}, {"email_verified": None}, {"audience": "x"}, {"lifetime_seconds": -1}):
        assert await answer(**claims) == "email_not_verified"
    assert await gateway.metric("issuer_keys_ok", issuer="1") == 1


async def test_a_forged_one_proves_nothing(gateway: Asker) -> None:
    """It is rejected, and the store hears nothing of its address."""
    answers = [
        await prove(gateway, proof, token=LOBBY)
        for proof in (good(iss="https://evil.example"), good(email_verified=False), "no token", "")
    ]
    other = await prove(gateway, good(), token=LOBBY, email="another@example.com")

    for answer in (*answers, other):
        assert (answer.status_code, answer.json()["outcome"]) == (200, "rejected")
        assert (answer.json()["reason"], answer.json()["advice"]) == ("email_not_verified", "verify_address")
    assert store_calls(gateway.sandbox) == 0


async def test_without_a_proof_the_callers_word_needs_its_right(gateway: Asker) -> None:
    """Alone, in a batch, for a pass and for an explanation, as ever; and one of both is needed."""
    asked = {"game": 3, "email": seed.BUYER_EMAIL}
    headers = {"authorization": f"Bearer {LOBBY}"}
    alone = await gateway.http.post("/verify/email", json=asked, headers=headers)
    item = (await gateway.batch({"id": "a", "method": "email", **asked}, token=LOBBY)).json()["results"][0]
    ordered = await gateway.http.post("/passes", json={"method": "email", **asked}, headers=headers)
    explained = await gateway.http.post("/admin/explain", json={**asked, "ask": True}, headers=headers)

    assert [alone.status_code, item["status"], ordered.status_code, explained.status_code] == [403] * 4
    assert store_calls(gateway.sandbox) == 0


@pytest.mark.parametrize(
    ("fields", "code", "pointer"),
    [
        ({}, "missing_field", "/email"),
        ({"email": "bea"}, "malformed_email", "/email"),
        ({"proof": 5}, "wrong_type", "/proof"),
        ({"proof": "x.y.z", "email": "bea"}, "malformed_email", "/email"),
        ({"proof": "x.y.z", "nonce": 5}, "wrong_type", "/nonce"),
    ],
)
async def test_bad_questions(open_with: Open, fields: dict[str, Any], code: str, pointer: str) -> None:
    """They are the caller's mistake."""
    gateway = await open_with(X_MOON + ISSUER)
    answer = await gateway.http.post("/verify/email", json={"game": 3, **fields})

    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_an_issuer_that_is_away(open_with: Open) -> None:
    """There is no answer, and never a no."""
    gateway = await open_with(X_MOON + ISSUER + 'jwks_url = "https://127.0.0.1:9/keys"\n')
    answer = await prove(gateway, good())

    assert (answer.status_code, answer.json()["reason"], answer.json()["allowed"]) == (503, "issuer_unavailable", False)
    assert await gateway.metric("issuer_keys_ok", issuer="1") == 0


async def test_off(open_with: Open) -> None:
    """Without issuers a proof is not enabled; nothing is imported, and there is no series."""
    gone = [name for name in sys.modules if name.startswith("service.proofs")]
    kept = {name: sys.modules.pop(name) for name in gone}
    try:
        gateway = await open_with(
            f'[itch]\napi_key = "{seed.SELLER_KEY}"\nbase_url = "http://127.0.0.1:9"\n{X_MOON}', sandbox=False
        )
        answer = await prove(gateway, good())
        imported = [name for name in sys.modules if name.startswith("service.proofs")]
    finally:
        sys.modules.update(kept)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_enabled")
    assert "[[oidc]]" in answer.json()["detail"]
    assert "issuer" not in (await gateway.http.get("/metrics")).text
    assert imported == []
