"""The paths of the API."""

from typing import Final

from litestar.utils import normalize_path

from service.http.asgi import path_of
from service.ownership import Method

PATHS: Final = {
    Method.DOWNLOAD_KEY: "/verify/download-key",
    Method.JWT: "/verify/jwt",
    Method.EMAIL: "/verify/email",
    Method.USER: "/verify/user",
    Method.PASS: "/verify/pass",
    Method.ACCESS_TOKEN: "/verify/access-token",
}
BATCH_PATH: Final = "/verify/batch"
REDEEM_PATH: Final = "/verify/redeem"
ADMIN_BELOW: Final = "/admin/"
INVALIDATE_PATH: Final = "/admin/invalidate"
REVOCATIONS_PATH: Final = "/admin/revocations"
EXPLAIN_PATH: Final = "/admin/explain"
OVERRIDES_PATH: Final = "/admin/overrides"
STATE_PATH: Final = "/admin/state"
PASSES_PATH: Final = "/passes"
VOID_PASSES_PATH: Final = "/passes/invalidated"
KEYS_PATH: Final = "/.well-known/jwks.json"
"""The place is by RFC 8615, and the name what verifiers look for."""
CHANNEL_PATH: Final = "/games/{game}/channels/{channel}"
CHALLENGES_PATH: Final = "/email-challenges"
CONFIRM_PATH: Final = "/email-challenges/confirm"
SETTING_FOR: Final = dict.fromkeys((PASSES_PATH, VOID_PASSES_PATH, KEYS_PATH), "passes.key_file") | dict.fromkeys(
    (CHALLENGES_PATH, CONFIRM_PATH), "mail.url"
)
"""The paths that there are only where a setting turns them on, and that setting."""
DESCRIPTION_PATH: Final = "/openapi.json"
CONSOLE_PATH: Final = "/console"
FORWARD_AUTH_BELOW: Final = b"/forward-auth/"
"""The beginning of the targets by which proxies ask, as they stand in requests: nothing is decoded or normalised."""
SANDBOX_BELOW: Final = "/sandbox/"
OPERATIONS: Final = frozenset({"/livez", "/readyz", "/metrics", "/version"})

_METHOD_AT: Final = {path: method for method, path in PATHS.items()}
_METHOD_AT_TARGET: Final = {path.encode("ascii"): method for path, method in _METHOD_AT.items()}


def method_at(target: bytes) -> Method | None:
    """Return the method that a target asks by, in any spelling: with a query, encoded, with a slash at its end."""
    return _METHOD_AT_TARGET.get(target) or _METHOD_AT.get(_routed(target))


def is_forward_auth(target: bytes) -> bool:
    """Whether a proxy asks by this target."""
    return target.startswith(FORWARD_AUTH_BELOW)


def is_operational(target: bytes) -> bool:
    """Whether a target, in any spelling, is that of an operational endpoint."""
    return _routed(target) in OPERATIONS


def is_administration(target: bytes) -> bool:
    """Whether a target, in any spelling, is the console's, or that of an endpoint that the console acts by."""
    return is_console(target) or _routed(target).startswith(ADMIN_BELOW)


def is_console(target: bytes) -> bool:
    """Whether a target, in any spelling, is the console, or a file of it."""
    return f"{_routed(target)}/".startswith(f"{CONSOLE_PATH}/")


def is_absent_from_relays(path: str) -> bool:
    """Whether only a gateway with a store of its own, or with a sandbox, has what is there."""
    return f"{path}/".startswith((ADMIN_BELOW, f"{CONSOLE_PATH}/", SANDBOX_BELOW))


def _routed(target: bytes) -> str:
    # As the router reads it: to it, `/metrics/` is `/metrics` too.
    return normalize_path(path_of(target))
