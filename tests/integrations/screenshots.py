"""Screenshots of the pages that a browser is shown, as docs/ has them.

python -m tests.integrations.screenshots docs/pages     writes them there, of a gateway of its own with a sandbox
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.deploy.processes import gateway
from tests.integrations.processes import needed
from tests.redis_server import free_port

PAGES: Final = {"first-page": "/", "api-page": "/docs"}
"""Names of the pictures, and the paths of the pages."""

SIZE: Final = (760, 620)
"""Pixels of a picture, across and down."""

_SECONDS: Final = 120
_QUIET: Final = (
    "--headless",
    "--no-sandbox",  # or it does not run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def photograph(url: str, picture: Path, *, size: tuple[int, int] = SIZE) -> None:
    """Write a PNG of the top of a page, as Chromium shows it; its settings are new and gone afterwards."""
    with TemporaryDirectory() as profile:
        subprocess.run(
            [
                needed("chromium"),
                *_QUIET,
                f"--user-data-dir={profile}",
                f"--window-size={size[0]},{size[1]}",
                f"--screenshot={picture}",
                url,
            ],
            check=True,
            timeout=_SECONDS,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def main(directory: Path) -> None:
    """Write all pictures."""
    port = free_port()
    with gateway({"PORT": str(port)}):
        for name, path in PAGES.items():
            photograph(f"http://127.0.0.1:{port}{path}", directory / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
