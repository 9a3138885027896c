"""The nginx of the chart's example with TLS, really run: its configuration as it is but for paths and ports."""

import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import yaml

from tests.cache.certificates import write_certificate
from tests.integrations.conftest import TOKEN
from tests.integrations.processes import Gateway, needed
from tests.integrations.questions import OTHERS, OWNERS, PATH, body, fate
from tests.redis_server import free_port

_SCENARIO: Final = Path(__file__).parents[2] / "helm" / "ownership-gateway" / "ci" / "service-tls-values.yaml"
# Debian's nginx has it as a module, the image of the example built in.
_STREAM: Final = Path("usr/lib/nginx/modules/ngx_stream_module.so")


class _Tls:
    """An nginx with the example's configuration, and the directory of its certificate."""

    def __init__(self, directory: Path, gateway_port: int) -> None:
        self._directory = directory
        self.port = free_port()
        (objects,) = yaml.safe_load(_SCENARIO.read_text())["extraObjects"]
        changes = {
            "/tmp/": f"{directory}/",  # noqa: S108 - of the container
            "stderr": f"{directory}/error.log",
            "/run/secrets/tls/": f"{directory}/",
            "listen 8443": f"listen 127.0.0.1:{self.port}",
            "127.0.0.1:8080": f"127.0.0.1:{gateway_port}",
        }
        text = objects["data"]["nginx.conf"]
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        nginx = needed("nginx")
        module = Path(nginx).parents[2] / _STREAM
        user = "user root;" if os.geteuid() == 0 else ""
        file = directory / "nginx.conf"
        file.write_text(f"{f'load_module {module};' if module.exists() else ''}\n{user} daemon off;\n{text}")
        self.renew()
        self.command = [nginx, "-p", str(directory), "-c", str(file), "-e", str(directory / "error.log")]

    def renew(self) -> None:
        """Write another certificate over the one that is there; who trusted that one does not trust it."""
        write_certificate(self._directory, address="127.0.0.1")
        (self._directory / "certificate.pem").replace(self._directory / "tls.crt")
        (self._directory / "key.pem").replace(self._directory / "tls.key")

    def client(self) -> httpx.Client:
        """A client that trusts the certificate that is there now alone, and has no connection yet."""
        trusted = ssl.create_default_context(cafile=self._directory / "tls.crt")
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        transport = httpx.HTTPTransport(verify=trusted, retries=5)
        return httpx.Client(base_url=f"https://127.0.0.1:{self.port}", headers=headers, transport=transport)


@pytest.fixture
def tls(gateway: Gateway, tmp_path: Path) -> Iterator[_Tls]:
    """The example's nginx in front of the gateway."""
    tls = _Tls(tmp_path, gateway.port)
    with subprocess.Popen(tls.command, stderr=subprocess.DEVNULL) as process:
        try:
            yield tls
        finally:
            process.terminate()


def test_questions_are_answered(tls: _Tls, seen: Callable[[str], None]) -> None:
    """Over one connection, each with its own answer."""
    with tls.client() as client:
        answers = {one: client.post(PATH, content=body(one)) for one in OWNERS + OTHERS}

    fates = [fate(answer.status_code, answer.content, one) for one, answer in answers.items()]
    seen(f"{len(fates)} questions")
    assert fates == ["right"] * len(fates)


def test_a_renewed_certificate_needs_no_restart(tls: _Tls) -> None:
    """A client that trusts only the new one is answered as soon as its files are there."""
    with tls.client() as client:
        client.get("/livez").raise_for_status()
    tls.renew()
    with tls.client() as client:
        client.get("/livez").raise_for_status()
