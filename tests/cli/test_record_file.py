"""The file of a record, where another one is made meanwhile, or none can be."""

import shutil
from pathlib import Path

import click
import pytest

from service.cli.recording.record_file import record_file


def test_nothing_is_left_of_a_record_that_failed(tmp_path: Path) -> None:
    """Such as one that Ctrl-C ended."""
    with pytest.raises(KeyboardInterrupt), record_file(tmp_path / "record", overwrite=False):
        raise KeyboardInterrupt

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_made_meanwhile_stays(tmp_path: Path) -> None:
    """The answers took a while."""
    with record_file(tmp_path / "record", overwrite=False) as write:
        (tmp_path / "record").write_text("theirs")
        with pytest.raises(click.UsageError, match="cannot be written: File exists"):
            write(b"ours")

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("record", "theirs")]


def test_a_folder_that_has_gone(tmp_path: Path) -> None:
    """It is one line, and no traceback."""
    folder = tmp_path / "folder"
    folder.mkdir()

    with record_file(folder / "record", overwrite=True) as write:
        shutil.rmtree(folder)
        with pytest.raises(click.UsageError, match="cannot be written: No such file"):
            write(b"ours")
