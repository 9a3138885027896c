"""Findings of scanners: what is waived, what is left, and waivers that have outlived theirs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_SCRIPT = Path(__file__).parents[2] / "deploy" / "tools" / "scan_findings.py"
_WAIVER = """
[[bandit]]
rule = "B404"
places = ["helm/*"]
reason = "an import starts nothing"
"""


def _of_bandit(file: str, rule: str = "B404", line: int = 1) -> dict[str, Any]:
    return {"filename": file, "test_id": rule, "line_number": line, "line_range": [line], "issue_text": "An import."}


@pytest.fixture
def check(tmp_path: Path) -> Any:
    """Run the script in a folder of its own, on these findings, with these waivers."""
    shutil.copy(_SCRIPT, tmp_path)
    (tmp_path / "helm").mkdir()
    (tmp_path / "helm" / "a.py").write_text(
        "import subprocess\nx = 1  # noqa: S105, T201 - no password\ny = 2  # noqa: S105\n"
    )

    def run(tool: str, report: object, waivers: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "scan_waivers.toml").write_text(waivers)
        (tmp_path / "report.json").write_text(json.dumps(report))
        command = [sys.executable, _SCRIPT.name, tool, "report.json"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_what_is_waived_is_not_left(check: Any) -> None:
    """Place and rule decide."""
    done = check("bandit", {"errors": [], "results": [_of_bandit("helm/a.py")]}, _WAIVER)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "bandit: 1 findings are waived in scan_waivers.toml, 0 are left\n"


@pytest.mark.parametrize(
    ("line", "left"), [(1, 1), (2, 0), (3, 1)], ids=["none", "with its reason", "without a reason"]
)
def test_a_waiver_of_ruff_is_one_of_bandit(check: Any, line: int, left: int) -> None:
    """It has to have its reason beside it."""
    done = check("bandit", {"errors": [], "results": [_of_bandit("helm/a.py", "B105", line)]}, "bandit = []")

    assert done.returncode == left
    assert done.stdout.endswith(f"{left} are left\n")


@pytest.mark.parametrize(
    "finding", [_of_bandit("helm/a.py", "B603"), _of_bandit("./helm/../helm/a.py")], ids=["rule", "place"]
)
def test_what_is_not_waived_is_left(check: Any, finding: dict[str, Any]) -> None:
    """Another rule, or another place, is a finding of its own."""
    done = check("bandit", {"errors": [], "results": [_of_bandit("helm/a.py"), finding]}, _WAIVER.replace("*", "a.py"))

    assert done.returncode == 1
    assert finding["test_id"] in done.stderr


def test_a_waiver_that_waives_nothing_is_a_mistake(check: Any) -> None:
    """Else the list would only ever grow."""
    done = check("bandit", {"errors": [], "results": []}, _WAIVER)

    assert done.returncode == 1
    assert "nothing is waived by B404 for ['helm/*']" in done.stderr


def test_a_file_that_was_not_read_is_a_mistake(check: Any) -> None:
    """A scanner that reads nothing finds nothing."""
    assert check("bandit", {"errors": [{"filename": "a.py"}], "results": []}, "bandit = []").returncode == 1
    empty = {"summary": {"parsing_errors": 1}, "results": {"failed_checks": []}}
    assert check("checkov", [empty], "checkov = []").returncode == 1


def test_objects_are_named_by_their_file(check: Any) -> None:
    """As a waiver of checkov names them."""
    failed = {
        "check_id": "CKV_K8S_11",
        "check_name": "CPU limits",
        "file_path": "/service.yaml",
        "resource": "Pod.games.a",
    }
    report = {"summary": {"parsing_errors": 0}, "results": {"failed_checks": [failed]}}

    waiver = '[[checkov]]\nrule = "CKV_K8S_11"\nplaces = ["service.yaml:Pod.games.a"]\nreason = "on purpose"\n'

    assert check("checkov", report, waiver).returncode == 0
    assert "CKV_K8S_11 service.yaml:Pod.games.a: CPU limits" in check("checkov", report, "checkov = []").stderr
