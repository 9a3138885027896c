"""One gateway with a caller for all checks, and one printed line for each check."""

from collections.abc import Callable, Iterator

import pytest

from tests.gateways import X_MOON, caller_lines
from tests.integrations.processes import Gateway
from tests.redis_server import free_port

TOKEN = "ogw_a-token-for-the-checks-of-integrations-0000"


class _Lines:
    """Prints `ok` or `failed`, the check, and what it saw."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print the line once the check has ended."""
        if report.when != "call" and report.passed:
            return
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        assert terminal is not None
        name = report.nodeid.partition("test_")[2].replace(".py::test_", ": ").replace("_", " ")
        seen = "; ".join(str(text) for key, text in report.user_properties if key == "seen")
        word = "ok" if report.passed else "failed"
        terminal.ensure_newline()
        terminal.write_line(f"{word:8}{name}{': ' if seen else ''}{seen}", green=report.passed, red=report.failed)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str]:
        """Print no dots."""
        return ("" if report.when != "call" and report.passed else report.outcome), "", report.outcome.upper()


def pytest_configure(config: pytest.Config) -> None:
    """Print lines instead of dots."""
    config.pluginmanager.register(_Lines(config))


@pytest.fixture
def seen(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Add a text to the line of this check."""
    return lambda text: record_property("seen", text)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with one game and one caller, whose token is `TOKEN`."""
    directory = tmp_path_factory.mktemp("gateway")
    file = directory / "gateway.toml"
    file.write_text(X_MOON + caller_lines("game-server", TOKEN, rate="100000"), encoding="utf-8")
    gateway = Gateway(free_port(), directory / "log", {"CONFIG": str(file)})
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.kill()
