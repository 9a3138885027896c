"""The wheel and the sdist of `uv build`: the wheel works by itself, and the sdist holds the whole project."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

import pytest

from service.sandbox import seed

_ROOT: Final = Path(__file__).parents[2]
_UV: Final = _ROOT / ".tools" / "uv" / "bin" / "uv"
_ENVIRONMENT: Final = {name: value for name, value in os.environ.items() if not name.startswith("OWNERSHIP_GATEWAY_")}


def _run(*command: str | Path, cwd: Path, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], cwd=cwd, env=_ENVIRONMENT, input=said, capture_output=True, text=True, check=False
    )


def _uv(*arguments: str | Path) -> None:
    done = _run(_UV, *arguments, cwd=_ROOT)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was made from it; what makes them is pinned by hash."""
    folder = tmp_path_factory.mktemp("built")
    pins = _ROOT / "deploy" / "image" / "build.txt"
    _uv("build", "--build-constraints", pins, "--require-hashes", "--out-dir", folder, _ROOT)
    return folder


@pytest.fixture(scope="module")
def in_sdist(built: Path) -> set[PurePosixPath]:
    """The files of the sdist."""
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        return {PurePosixPath(*PurePosixPath(one.name).parts[1:]) for one in archive if one.isfile()}


@pytest.fixture(scope="module")
def in_wheel(built: Path) -> set[PurePosixPath]:
    """The files of the wheel."""
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        return {PurePosixPath(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel and what the lock names for it, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    _uv("export", "--quiet", "--locked", "--no-dev", "--no-emit-project", "--output-file", folder / "locked.txt")
    _uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    _uv("pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", folder / "locked.txt")
    _uv("pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    return python.parent


def _below(folder: str) -> set[PurePosixPath]:
    """Return the files of a folder of the project, but for those that are made anew by running it."""
    made = {"__pycache__", "charts"}
    files = (path.relative_to(_ROOT) for path in (_ROOT / folder).rglob("*") if path.is_file())
    return {PurePosixPath(path) for path in files if made.isdisjoint(path.parts) and path.suffix != ".pyc"}


@pytest.mark.parametrize("folder", ["service", "tests", "docs", "deploy", "helm", "benchmarks", ".ci", ".github"])
def test_the_sdist_holds_the_whole_folder(in_sdist: set[PurePosixPath], folder: str) -> None:
    """A copy of the sdist is enough to build, test and deploy."""
    assert _below(folder) - in_sdist == set()


@pytest.mark.parametrize(
    "file",
    [
        "pyproject.toml", "uv.lock", "Makefile", "Dockerfile", ".dockerignore",
        "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE",
    ],
)  # fmt: skip
def test_the_sdist_holds(in_sdist: set[PurePosixPath], file: str) -> None:
    """The files next to the folders are in it too."""
    assert PurePosixPath(file) in in_sdist


def test_the_sdist_holds_nothing_of_this_machine(in_sdist: set[PurePosixPath]) -> None:
    """No environment, no cache, nothing compiled."""
    made = {".venv", ".tools", "__pycache__", ".mypy_cache", ".pytest_cache", ".hypothesis", "dist"}

    assert [path for path in in_sdist if made.intersection(path.parts) or path.suffix == ".pyc"] == []


def test_the_wheel_holds_the_whole_package(in_wheel: set[PurePosixPath]) -> None:
    """The scripts for Redis and the mark that there are types are as much part of it as the modules."""
    assert _below("service") - in_wheel == set()


def test_the_wheel_holds_nothing_else(in_wheel: set[PurePosixPath]) -> None:
    """Installing the wheel adds no top-level `tests` and no `deploy`."""
    assert {path.parts[0] for path in in_wheel if not path.parts[0].endswith(".dist-info")} == {"service"}


def test_the_command_is_there(installed: Path, tmp_path: Path) -> None:
    """An environment of nothing but the wheel has the command, and it explains itself."""
    helped = _run(installed / "ownership-gateway", "--help", cwd=tmp_path)

    assert (helped.returncode, helped.stderr) == (0, "")
    assert "serve" in helped.stdout


def test_it_answers(installed: Path, tmp_path: Path) -> None:
    """The installed package answers a question, from a credential to an answer."""
    asked = _run(
        installed / "ownership-gateway", "verify", "--sandbox", "--game", "3", "--method", "download_key",
        cwd=tmp_path, said=seed.OWNER_KEY,
    )  # fmt: skip

    assert asked.returncode == 0, asked.stderr
    assert '"owned"' in asked.stdout


def test_what_is_installed_is_consistent(installed: Path) -> None:
    """Every package has what it says that it needs."""
    _uv("pip", "check", "--quiet", "--python", installed / "python")
