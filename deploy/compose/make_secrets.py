"""Makes the secrets of deploy/compose.yaml once, gives each service its part, and tells the token on request.

Run by the service `setup`. What is there already stays: a restart changes no password. Only the gateway's TOML file is
written anew each time, from compose/gateway.toml and the caller's token, so that changed games take effect.
"""  # noqa: INP001 - a script that compose mounts into a container

import hashlib
import os
import secrets
import sys
from pathlib import Path
from typing import Final

_TEMPLATES: Final = Path("/setup")
_SECRETS: Final = Path("/secrets")

_ROOT: Final = 0
_GATEWAY: Final = 65532
_REDIS: Final = 65533

_CALLER: Final = """
[[callers]]
name = "compose"
token_sha256 = "{digest}"
games = ["*"]
rights = ["verify", "assert:user", "assert:email"]
"""


def main() -> None:
    """Make what is missing; with the argument `token`, print the caller's token and nothing else."""
    token = _kept("caller/token", f"ogw_{secrets.token_urlsafe(32)}", reader=_ROOT)
    if sys.argv[1:] == ["token"]:
        print(token)  # noqa: T201 - it was asked for
        return

    _kept("gateway/secret", secrets.token_urlsafe(48), reader=_GATEWAY)
    url = _kept("gateway/redis-url", _redis_url(secrets.token_hex(32)), reader=_GATEWAY)
    password = url.removeprefix(_redis_url("").partition("@")[0]).partition("@")[0]
    users = (_TEMPLATES / "users.acl.template").read_text(encoding="utf-8")
    _write("redis/users.acl", users.replace("@PASSWORD_SHA256@", _sha256(password)), reader=_REDIS)
    games = (_TEMPLATES / "gateway.toml").read_text(encoding="utf-8")
    _write("gateway/gateway.toml", games + _CALLER.format(digest=_sha256(token)), reader=_GATEWAY)


def _redis_url(password: str) -> str:
    return f"redis://ownership-gateway:{password}@redis:6379/0"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _kept(name: str, new: str, *, reader: int) -> str:
    """Return what the file holds, after writing `new` into it if there was no file."""
    path = _SECRETS / name
    if not path.exists():
        _write(name, new, reader=reader)
        return new
    # Root without the right to read what is not its own: it takes the file back for as long as it reads it.
    os.chown(path, _ROOT, _ROOT)
    text = path.read_text(encoding="utf-8")
    os.chown(path, reader, reader)
    return text


def _write(name: str, text: str, *, reader: int) -> None:
    """Put a file there for one user to read: whole, or not at all."""
    path = _SECRETS / name
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    # Opened as it is made: root may not write to a file with this mode later on, for want of capabilities.
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="utf-8") as file:
        file.write(text)
    os.chown(unfinished, reader, reader)
    unfinished.replace(path)


if __name__ == "__main__":
    main()
