"""The manifests that Helm renders from the chart, as plain dictionaries."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from service.pass_pem import new_signing_key
from service.settings import Settings, load_settings

Document: TypeAlias = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "ownership-gateway"
EXAMPLE = ROOT / "helm" / "examples" / "game-server"
MANIFESTS = ROOT / "deploy" / "kubernetes"
SCENARIOS = sorted((CHART / "ci").glob("*-values.yaml"))

CALLER = {"name": "lobby", "token_sha256": "ab" * 32, "games": ["*"], "rights": ["verify"]}
SERVICE: Document = {"config": {"callers": [CALLER]}, "secrets": {"sellerKey": {"existingSecret": "itch"}}}
SIDECAR: Document = {
    "mode": "sidecar",
    "secrets": {"sellerKey": {"existingSecret": "itch"}},
    "sidecar": {"acceptKeyInPod": True},
}
RELAY: Document = {
    "mode": "sidecar",
    "secrets": {"relayToken": {"existingSecret": "relay"}},
    "sidecar": {"relay": {"url": "https://hub.example"}},
}


class RefusedError(Exception):
    """Helm rendered nothing; the text is its error."""


class Rendered:
    """The objects that a chart was rendered to."""

    def __init__(self, text: str) -> None:
        self.documents: list[Document] = [document for document in yaml.safe_load_all(text) if document]

    def kinds(self) -> set[str]:
        return {str(document["kind"]) for document in self.documents}

    def one(self, kind: str, *, name_ends: str = "") -> Document:
        (found,) = [
            document
            for document in self.documents
            if document["kind"] == kind and document["metadata"]["name"].endswith(name_ends)
        ]
        return found

    def pod(self) -> Document:
        """The pod of the one Deployment."""
        template: Document = self.one("Deployment")["spec"]["template"]
        return template

    def gateway(self) -> Document:
        """The gateway's container, wherever it is in that pod."""
        spec = self.pod()["spec"]
        (found,) = [
            container
            for container in [*spec.get("initContainers", []), *spec["containers"]]
            if container["name"] == "ownership-gateway"
        ]
        return dict(found)

    def env(self) -> dict[str, str]:
        return {variable["name"]: variable["value"] for variable in self.gateway()["env"]}

    def settings(self, directory: Path) -> Settings:
        """Return the settings of the gateway in that pod. Raises `SettingsError` where it would refuse to start."""
        return load_settings(self.environ(self.gateway(), directory))

    def environ(self, container: Document, directory: Path) -> dict[str, str]:
        """Return a container's environment, with the files that it names written into the directory."""
        config = directory / "gateway.toml"
        config.write_text(self.one("ConfigMap", name_ends="gateway")["data"]["gateway.toml"])
        environ = {variable["name"]: variable["value"] for variable in container["env"]}
        environ["OWNERSHIP_GATEWAY_CONFIG"] = str(config)
        for name, content in _SECRETS.items():
            if name in environ:
                file = directory / name
                file.write_text(content)
                environ[name] = str(file)
        return environ


_SECRETS = {
    "OWNERSHIP_GATEWAY_PASSES__KEY_FILE": new_signing_key(),
    "OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE": "seller-key-of-a-test",
    "OWNERSHIP_GATEWAY_ITCH__NEXT_API_KEY_FILE": "next-seller-key-of-a-test",
    "OWNERSHIP_GATEWAY_ITCH__PROXY_FILE": "http://proxy.example:3128",
    "OWNERSHIP_GATEWAY_RELAY__TOKEN_FILE": "ogw_token-of-a-relay-in-tests-0123456789-0123456",
    "OWNERSHIP_GATEWAY_MAIL__URL_FILE": "smtps://gateway:password@mail.example",
    "OWNERSHIP_GATEWAY_SECRET_FILE": "sealing-secret-of-a-test-0123456789",
    "OWNERSHIP_GATEWAY_REDIS__URL_FILE": "rediss+sentinel://gateway:password@redis.example/main",
}


class Helm:
    """A real Helm."""

    def __init__(self, binary: Path) -> None:
        self._binary = binary

    def render(
        self,
        values: Mapping[str, Any] | Path = SERVICE,
        *,
        chart: Path = CHART,
        kubernetes: str = "1.33",
        tests: Literal["alone", "left out"] = "left out",
    ) -> Rendered:
        """Render a chart, or of it what `helm test` makes alone. Raises `RefusedError` with Helm's error."""
        arguments = ["template", "release", str(chart), "--namespace", "games", "--kube-version", kubernetes]
        arguments += ["--skip-tests"] if tests == "left out" else ["--show-only", "templates/tests/doctor.yaml"]
        if isinstance(values, Path):
            return Rendered(self.run(*arguments, "--values", str(values)))
        return Rendered(self.run(*arguments, "--values", "-", text=json.dumps(values)))

    def run(self, *arguments: str, text: str = "") -> str:
        done = subprocess.run([self._binary, *arguments], input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RefusedError(done.stderr)
        return done.stdout


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> Document:
    """Return values with changes laid over them, as Helm lays them."""
    both = dict(values)
    for key, change in changes.items():
        below = both.get(key)
        both[key] = merged(below, change) if isinstance(below, Mapping) and isinstance(change, Mapping) else change
    return both


def containers_of(pod: Document) -> Iterator[Document]:
    """Yield every container of a pod template."""
    yield from pod["spec"].get("initContainers", [])
    yield from pod["spec"]["containers"]
