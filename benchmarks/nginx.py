"""nginx with Lua: an executable of it, where this machine has one or lets one be fetched, and its configuration."""

import subprocess
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_CONTENDERS: Final = _HERE / "contenders"
_FIRST_TIER: Final = "lua_shared_dict first_tier 64m;"
"""As large as the gateway's own first tier by default."""


class NoNginxError(Exception):
    """There is no nginx with Lua; the text says why, and is the end of a line for a person."""


def nginx_with_lua() -> Path:
    """Return an nginx that has Lua and a Redis client, fetching one where that is possible.

    Raises `NoNginxError`.
    """
    script = subprocess.run([_HERE / "install_nginx.sh"], capture_output=True, text=True, check=False)
    if script.returncode:
        raise NoNginxError(script.stderr.splitlines()[-1])
    return Path(script.stdout.splitlines()[-1])


def nginx_command(nginx: Path, prefix: Path, *, port: int, first_tier: bool) -> list[str | Path]:
    """Write the configuration into a folder of its own, and return the command that serves it from there."""
    prefix.mkdir()
    text = (_CONTENDERS / "nginx.conf").read_text(encoding="utf-8")
    put_in = {"port": str(port), "folder": str(_CONTENDERS), "first_tier": _FIRST_TIER if first_tier else ""}
    for name, value in put_in.items():
        text = text.replace(f"@{name}@", value)
    configuration = prefix / "nginx.conf"
    configuration.write_text(text, encoding="utf-8")
    return [nginx, "-p", prefix, "-c", configuration]
