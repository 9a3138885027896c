"""Id tokens of a real issuer, oidc-provider for Node: players sign in, and the gateway takes what it gives them."""

import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from service.sandbox import seed
from tests.cache.certificates import write_certificate
from tests.gateways import X_MOON, caller_lines
from tests.integrations.conftest import TOKEN
from tests.integrations.processes import Gateway, needed
from tests.redis_server import free_port

_ROOT: Final = Path(__file__).parents[2]
_NODE: Final = _ROOT / ".tools" / "oidc-node"
_CALLBACK: Final = "https://lobby.example/back"
_CLIENT, _SECRET = "the-lobby", "a-secret-between-the-lobby-and-the-issuer"


class Issuer:
    """A running issuer, at which players sign in as in a browser."""

    def __init__(self, port: int, certificate: Path) -> None:
        self.name = f"https://localhost:{port}"
        self._certificate = certificate

    def id_token(self, address: str, *, nonce: str) -> str:
        """Return the id token of a player who signs in by this address (OpenID Connect Core 1.0, 3.1)."""
        tls = ssl.create_default_context(cafile=self._certificate)
        with httpx.Client(verify=tls, base_url=self.name, trust_env=False) as http:
            asked = {"client_id": _CLIENT, "response_type": "code", "redirect_uri": _CALLBACK}
            page = http.get("/auth", params={**asked, "scope": "openid email", "nonce": nonce})
            forms = iter([{"prompt": "login", "login": address, "password": "any"}, {"prompt": "consent"}])
            while not page.headers.get("location", "").startswith(_CALLBACK):
                if page.is_redirect:
                    page = http.get(page.headers["location"])
                else:
                    assert page.status_code == 200, page.text
                    page = http.post(page.url, data=next(forms))
            (code,) = parse_qs(urlsplit(page.headers["location"]).query)["code"]
            wanted = {"grant_type": "authorization_code", "code": code, "redirect_uri": _CALLBACK}
            return str(http.post("/token", data=wanted, auth=(_CLIENT, _SECRET)).raise_for_status().json()["id_token"])


@contextmanager
def _issuer(directory: Path, port: int) -> Iterator[Issuer]:
    certificate = directory / "certificate.pem"
    script = Path(__file__).parent / "issuer" / "issuer.mjs"
    told = [str(port), str(certificate), str(directory / "key.pem"), _CLIENT, _SECRET, _CALLBACK, str(_NODE)]
    log = (directory / "issuer.log").open("w")
    with log, subprocess.Popen([needed("node"), script, *told], stdout=subprocess.PIPE, stderr=log, text=True) as it:
        try:
            assert it.stdout is not None
            assert it.stdout.readline() == "listening\n", (directory / "issuer.log").read_text()
            yield Issuer(port, certificate)
        finally:
            it.kill()


def test_players_sign_in(tmp_path: Path, seen: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A buyer is let in, a stranger and an unverified one are not; without the issuer its known keys do."""
    port = free_port()
    file = tmp_path / "gateway.toml"
    issuer_lines = f'[[oidc]]\nissuer = "https://localhost:{port}"\naudiences = ["{_CLIENT}"]\nrequire_nonce = true\n'
    file.write_text(X_MOON + caller_lines("lobby", TOKEN, rights='["verify"]') + issuer_lines, encoding="utf-8")
    write_certificate(tmp_path, address="localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    gateway = Gateway(free_port(), tmp_path / "log", {"CONFIG": str(file)})
    try:
        gateway.start()
        with _issuer(tmp_path, port) as issuer:
            addresses = (seed.BUYER_EMAIL, "stranger@example.com", f"unverified-{seed.BUYER_EMAIL}")
            tokens = [issuer.id_token(address, nonce="n-7") for address in addresses]
            reasons = [_ask(gateway, proof=token, nonce="n-7")["reason"] for token in tokens]
            other_nonce = _ask(gateway, proof=tokens[0], nonce="n-8")
            late = issuer.id_token(seed.BUYER_EMAIL, nonce="n-9")
        without = _ask(gateway, proof=late, nonce="n-9")
        log = (tmp_path / "log").read_text()
    finally:
        gateway.kill()

    seen(f"{reasons}, without the issuer {without['reason']}")
    assert reasons == ["purchase", "no_download_key", "email_not_verified"]
    assert (other_nonce["reason"], without["reason"]) == ("email_not_verified", "purchase")
    assert not [token for token in (*tokens, late) if token in log]


def _ask(gateway: Gateway, **fields: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=gateway.address, trust_env=False, headers=headers) as http:
        answer: dict[str, Any] = http.post("/verify/email", json={"game": 3, **fields}).json()
        return answer
