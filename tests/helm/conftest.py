"""Real Helm 3 and Helm 4; installed below .tools when they are missing."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helm.rendering import CHART, EXAMPLE, ROOT, Helm

_TOOLS = ROOT / ".tools" / "helm"


@pytest.fixture(scope="session")
def helms() -> dict[str, Helm]:
    """Both Helms by their major version."""
    subprocess.run([ROOT / "helm" / "install.sh"], check=True)
    return {major: Helm(_TOOLS / f"helm{major}") for major in ("3", "4")}


@pytest.fixture(scope="session")
def helm(helms: dict[str, Helm]) -> Helm:
    """The newer Helm."""
    return helms["4"]


@pytest.fixture(scope="session")
def game_server(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of a chart that includes the sidecar, with its dependency packed into it."""
    copies = tmp_path_factory.mktemp("charts")
    shutil.copytree(CHART, copies / CHART.name)
    example = copies / "examples" / EXAMPLE.name
    shutil.copytree(EXAMPLE, example)
    helm.run("dependency", "update", str(example))
    return example
