"""`doctor`, on the mail server and the issuers of id tokens."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.cli.exits import Exit
from tests.cache.certificates import write_certificate
from tests.cli.conftest import WriteConfig
from tests.cli.terminals import run_in_background
from tests.proofs.identities import Identities
from tests.proofs.mail_server import mail_server
from tests.proofs.test_key_documents import http, https

STORE = '[itch]\napi_key = "a-key"\nbase_url = "http://127.0.0.1:9"\n'


async def found(write_config: WriteConfig, toml: str, check: str) -> dict[str, Any]:
    """Return what the doctor finds."""
    result = await run_in_background("doctor", "--json", "--config", write_config(STORE + toml))
    findings: list[dict[str, Any]] = json.loads(result.stdout)["checks"]
    assert result.exit_code == Exit.NO  # there is no store
    assert "p@ss" not in result.stdout
    return next(one for one in findings if one["check"] == check)


def mail(port: int, login: str = "") -> str:
    """Return the configuration of a mail server."""
    return f'[mail]\nurl = "smtp://{login}127.0.0.1:{port}"\nfrom = "noreply@studio.example"\n'


async def test_a_mail_server(write_config: WriteConfig) -> None:
    """It is asked to let the gateway in, and nothing is sent."""
    async with mail_server(auth_require_tls=False) as server:
        plain = await found(write_config, mail(server.port), "mail")
        with_user = await found(write_config, mail(server.port, "a:p%40ss%2Fword@"), "mail")
        wrong = await found(write_config, mail(server.port, "a:p%40ss@"), "mail")

    assert (plain["verdict"], plain["detail"]) == (
        "ok",
        "the mail server lets the gateway in, on this machine, without TLS, without a user; nothing was sent",
    )
    assert (with_user["verdict"], "with user and password" in with_user["detail"]) == ("ok", True)
    assert (wrong["verdict"], wrong["detail"]) == ("problem", "the mail server lets nobody in: 535")
    assert "percent-encoded" in wrong["hint"]
    assert server.commands == []


async def test_a_mail_server_with_tls(
    write_config: WriteConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_certificate(tmp_path, address="127.0.0.2")
    async with mail_server(host="127.0.0.2", certificate=tmp_path) as server:
        toml = mail(server.port).replace("127.0.0.1", "127.0.0.2")
        untrusted = await found(write_config, toml, "mail")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        trusted = await found(write_config, toml, "mail")

    assert (untrusted["verdict"], "the certificate has to be trusted" in untrusted["hint"]) == ("problem", True)
    assert (trusted["verdict"], "over TLS" in trusted["detail"]) == ("ok", True)


async def test_no_mail_server(write_config: WriteConfig) -> None:
    away = await found(write_config, mail(9), "mail")
    none = await found(write_config, "", "mail")

    assert (away["verdict"], away["detail"]) == ("problem", "the mail server lets nobody in: SMTPConnectError")
    assert (none["verdict"], none["detail"]) == ("skipped", "not configured; no codes are mailed")


async def test_issuers(write_config: WriteConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is asked for its keys."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    async with https(tmp_path, http(Identities().jwks())) as url:
        one = f'[[oidc]]\nissuer = "https://a.example"\naudiences = ["a"]\njwks_url = "{url}"\n'
        two = '[[oidc]]\nissuer = "https://b.example"\naudiences = ["b"]\njwks_url = "https://127.0.0.1:9/"\n'
        first = await found(write_config, one + two, "issuer 1")
        second = await found(write_config, one + two, "issuer 2")
        skipped = await found(write_config, one, "mail")

    assert (first["verdict"], first["detail"].startswith("https://a.example gives ")) == ("ok", True)
    assert (second["verdict"], second["detail"]) == ("problem", "the issuer gives no answer")
    assert skipped["verdict"] == "skipped"
