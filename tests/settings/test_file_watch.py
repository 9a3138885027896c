"""A file is told when it has changed and stands still, and only then."""

import os
from pathlib import Path

import pytest

from service.settings import FileContent, FileWatch
from service.settings.sources import read_content


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that was read already."""
    path = tmp_path / "gateway.toml"
    path.write_bytes(b"port = 1\n")
    return path


@pytest.fixture
def watch(file: Path) -> FileWatch:
    """Its watch."""
    return FileWatch(read_content(file))


def looks(watch: FileWatch, count: int) -> list[bytes | str | None]:
    """Return what so many looks told: the bytes, None for a file that cannot be read, else a dash."""
    told = [watch.look() for _ in range(count)]
    return ["-" if one is None else one.content for one in told]


def test_what_was_read_is_not_told_again(watch: FileWatch, file: Path) -> None:
    """A file that was only touched neither."""
    before = looks(watch, 2)
    os.utime(file, ns=(1, 1))

    assert before + looks(watch, 3) == ["-"] * 5


def test_two_looks_see_the_change(watch: FileWatch, file: Path) -> None:
    """It is told once."""
    looks(watch, 1)
    file.write_bytes(b"port = 2\n")

    assert looks(watch, 4) == ["-", b"port = 2\n", "-", "-"]


def test_a_change_from_before_the_first_look_is_seen(watch: FileWatch, file: Path) -> None:
    """The file may have changed since it was read at start."""
    file.write_bytes(b"port = 2\n")

    assert looks(watch, 3) == ["-", b"port = 2\n", "-"]


def test_a_file_that_is_being_written_is_not_told(watch: FileWatch, file: Path) -> None:
    """As long as each look sees another content."""
    told: list[bytes | str | None] = []
    for number in range(5):
        file.write_bytes(b"port = 2\n"[: number + 3])
        told += looks(watch, 1)

    assert told == ["-"] * 5
    assert looks(watch, 1) == [b"port = "]


def test_a_change_that_is_taken_back_is_not_told(watch: FileWatch, file: Path) -> None:
    """The second look sees what was told before."""
    file.write_bytes(b"port = 2\n")
    before = looks(watch, 1)
    file.write_bytes(b"port = 1\n")

    assert before + looks(watch, 3) == ["-"] * 4


def test_a_change_within_one_tick_of_the_file_system_is_seen(watch: FileWatch, file: Path) -> None:
    """While a change is not told yet, the content counts, and not the file's times."""
    file.write_bytes(b"port = 2\n")
    status = file.stat()
    before = looks(watch, 1)
    with file.open("r+b") as same:
        same.write(b"port = 3\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert before + looks(watch, 2) == ["-", "-", b"port = 3\n"]


def test_a_file_that_is_gone_for_a_moment(watch: FileWatch, file: Path) -> None:
    """Between two files there may be none; gone for two looks is gone, and back is told again."""
    file.rename(file.with_suffix(".old"))
    gone = looks(watch, 1)
    file.write_bytes(b"port = 1\n")
    back = looks(watch, 2)
    file.unlink()
    gone_for_long = looks(watch, 3)
    file.write_bytes(b"port = 1\n")

    assert (gone, back, gone_for_long) == (["-"], ["-", "-"], ["-", None, "-"])
    assert looks(watch, 2) == ["-", b"port = 1\n"]


def test_a_link_that_leads_elsewhere(tmp_path: Path) -> None:
    """As Kubernetes swaps the directory of a ConfigMap."""
    for name, text in (("one", b"port = 1\n"), ("two", b"port = 2\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gateway.toml").write_bytes(text)
    data = tmp_path / "data"
    data.symlink_to("one")
    watch = FileWatch(read_content(data / "gateway.toml"))
    looks(watch, 1)

    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(data)

    assert looks(watch, 2) == ["-", b"port = 2\n"]


def test_it_is_read_at_once_when_asked(watch: FileWatch, file: Path) -> None:
    """Then it counts as told, be it the same as before."""
    same = watch.read()
    file.write_bytes(b"port = 2\n")

    assert (same, watch.read()) == (FileContent(file, b"port = 1\n"), FileContent(file, b"port = 2\n"))
    assert looks(watch, 3) == ["-"] * 3


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """To open it again might take until someone writes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    watch = FileWatch(FileContent(pipe, b"port = 1\n"))

    assert not watch.can_be_read_again
    assert looks(watch, 2) == ["-", "-"]
    assert watch.read() == FileContent(pipe, b"port = 1\n")
