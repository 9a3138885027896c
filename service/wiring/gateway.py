"""A gateway that is open, as the process and tests see it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from service.api.operations import Readiness
from service.http.application import Application
from service.http.protocol import HttpServer
from service.observability.metrics import Metrics

if TYPE_CHECKING:  # only for the type checker: a gateway without a sandbox imports nothing of it
    from service.sandbox.state import Sandbox


class Gateway(Struct, kw_only=True):
    """A gateway that is open: `http` answers until it is closed. All but `http` and `sandbox` is replaced at a reset.

    `application` answers the requests that are no control endpoint's. `learned` is set once it is known whose the
    seller's key is. `reload` has the configuration file read again at once; `forget_failures` has the store asked at
    once about what it gave no usable answer to.
    """

    http: HttpServer
    readiness: Readiness
    metrics: Metrics
    application: Application
    learned: asyncio.Event
    forget_failures: Callable[[], None]
    reload: Callable[[], None]
    sandbox: "Sandbox | None" = None

    def become(self, other: "Gateway") -> None:
        """Take over all parts of another one."""
        for part in self.__struct_fields__:
            setattr(self, part, getattr(other, part))
