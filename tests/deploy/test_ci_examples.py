"""`deploy/examples/ci`: the tests of a made-up studio, each run with a gateway of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

_EXAMPLES: Final = Path(__file__).parents[2] / "deploy" / "examples" / "ci"
_RUN_SECONDS: Final = 300


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    """A copy of the examples: they need nothing around them."""
    return shutil.copytree(_EXAMPLES, tmp_path / "studio")


def _start(studio: Path, command: str, **variables: str) -> "subprocess.Popen[str]":
    """Run a command of the workflow in the studio's directory, where `ownership-gateway` and `python` are ours."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OWNERSHIP_GATEWAY", "PYTEST"))}
    # Plugins of ours are none of the studio's.
    environment = own | variables | {"PATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.Popen(  # noqa: S602 - a line of the workflow
        command,
        shell=True,
        cwd=studio,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _command(containing: str) -> str:
    """Return the command of the workflow that contains this."""
    (command,) = re.findall(rf"run: (.*{containing}.*)", (_EXAMPLES / "workflow.yml").read_text(encoding="utf-8"))
    return str(command)


def _ends(process: "subprocess.Popen[str]") -> str:
    """Return what it printed, once it has ended well."""
    printed, _ = process.communicate(timeout=_RUN_SECONDS)
    assert process.returncode == 0, printed
    return printed


def test_python_in_any_order_and_twice_at_once(studio: Path) -> None:
    """Two runs beside each other, in two orders, each with a gateway of its own."""
    runs = [_start(studio, _command("pytest -q"), TEST_ORDER=order) for order in ("1", "2")]

    assert [re.findall(r"\d+ [a-z]+(?= in )", _ends(run)) for run in runs] == [["201 passed"], ["201 passed"]]


def test_node(studio: Path) -> None:
    """The tests for `node --test`, as the workflow runs them."""
    if shutil.which("node") is None:
        pytest.skip("node is not there")

    printed = _ends(_start(studio, _command("node --test")))

    assert re.search(r"\bpass 3\b", printed), printed
