"""The sockets of a gateway."""

import resource

import pytest
from msgspec.structs import replace

from service.listening import connection_limit, default_connection_limit
from service.settings import Settings

ANY: Settings = Settings(port=0, sandbox=True)


# Connections.


@pytest.mark.parametrize(
    ("descriptors", "connections"),
    [(256, 204), (1024, 819), (12_500, 10_000), (1_048_576, 10_000), (resource.RLIM_INFINITY, 10_000)],
)
def test_connections_leave_descriptors_for_the_rest(descriptors: int, connections: int) -> None:
    """Four fifths are for callers, 10 000 at most."""
    assert default_connection_limit(descriptors) == connections


def test_connections_are_limited_by_the_process_unless_set() -> None:
    """The setting beats what the operating system allows."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert connection_limit(ANY) == default_connection_limit(allowed)
    assert connection_limit(replace(ANY, max_connections=7)) == 7
