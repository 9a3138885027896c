"""The operational endpoints: alive, ready, metrics, version."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, Struct, UnsetType

from service.causes import Cause
from service.observability.metrics import Metrics

Phase: TypeAlias = Literal["starting", "ready", "draining"]


class Alive(Struct, frozen=True):
    """The answer of a process that answers at all."""

    status: Literal["alive"] = "alive"


class RunningVersion(Struct, frozen=True):
    """The version that runs, and whether the sandbox stands in for itch.io."""

    version: str
    sandbox: bool


class Health(Struct, frozen=True):
    """The state of the gateway, and of each of its components in one word; `causes` says why, while one is lost."""

    status: Phase
    components: Mapping[str, str]
    causes: Mapping[str, Cause] | UnsetType = UNSET


class Readiness:
    """Whether to send questions here. A dead Redis or a dead itch.io degrades the gateway, it does not unready it.

    `components` return the state of each part in one word; they are named so that health never says just "no".
    `causes` returns, by the same names, why those do not work that do not.
    """

    def __init__(
        self, components: Mapping[str, Callable[[], str]], *, causes: Callable[[], Mapping[str, Cause]]
    ) -> None:
        self._components = components
        self._causes = causes
        self._phase: Phase = "starting"

    def ready(self) -> None:
        """Start-up is over."""
        self._phase = "ready"

    def draining(self) -> None:
        """Questions are still answered, but no more should be sent here."""
        self._phase = "draining"

    def health(self) -> Health:
        """Return the state of the gateway."""
        components = {name: state() for name, state in self._components.items()}
        return Health(self._phase, components, self._causes() or UNSET)

    def cause_of(self, component: str) -> Cause | None:
        """Return why a component does not work, None while it does."""
        return self._causes().get(component)

    def report(self) -> tuple[int, Health]:
        """Return the status, 503 only while starting or draining, and the body."""
        return 200 if self._phase == "ready" else 503, self.health()


def create_operations_routes(
    *, readiness: Readiness, metrics: Metrics, version: str, sandbox: bool
) -> list[HTTPRouteHandler]:
    """Return the operational endpoints."""
    rendered: list[tuple[bytes, str]] = []

    @get("/livez", sync_to_thread=False)
    def livez() -> Response[bytes]:
        """Return 200 as long as the event loop turns."""
        return _json(200, Alive())

    @get("/readyz", sync_to_thread=False)
    def readyz() -> Response[bytes]:
        """Return whether questions should be sent here, and the state of each component."""
        return _json(*readiness.report())

    @get("/metrics", sync_to_thread=False)
    def scrape() -> Response[bytes]:
        """Return the metrics in Prometheus' text format, rendered once for all scrapes of this turn of the loop."""
        if not rendered:  # it takes milliseconds: a thousand scrapes at once would hold up everything for seconds
            rendered.append(metrics.render())
            asyncio.get_running_loop().call_soon(rendered.clear)
        body, content_type = rendered[0]
        return Response(body, headers={"content-type": content_type})

    @get("/version", sync_to_thread=False)
    def show_version() -> Response[bytes]:
        """Return what is running."""
        return _json(200, RunningVersion(version, sandbox=sandbox))

    return [livez, readyz, scrape, show_version]


def _json(status: int, body: Struct) -> Response[bytes]:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")
