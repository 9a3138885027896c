"""The file of a record: for its owner alone, and in no other file's place unless that is wanted."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click


@contextmanager
def record_file(path: Path, *, overwrite: bool) -> Iterator[Callable[[bytes], None]]:
    """Make sure that a file can be written there, and return what writes it, with mode 0600.

    Without `overwrite` nothing may be there, not even a link that leads nowhere. What is there stays whole until the
    new file is. If nothing is written, nothing is left. Raises `click.UsageError`.
    """
    if not overwrite and os.path.lexists(path):
        raise click.UsageError(f"{path} is there already: name another file, or add --overwrite")
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:64]}.", dir=path.parent)
    except OSError as error:
        raise click.UsageError(f"no file can be written in {path.parent}: {error.strerror}") from None
    os.close(descriptor)

    def write(content: bytes) -> None:
        try:
            with Path(temporary).open("wb") as file:
                file.write(content)
            if overwrite:
                Path(temporary).replace(path)
            else:
                path.hardlink_to(temporary)  # unlike renaming, it fails where the file is there by now
        except OSError as error:
            raise click.UsageError(f"{path} cannot be written: {error.strerror}") from None

    try:
        yield write
    finally:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
