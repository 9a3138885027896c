"""`[[oidc]]`: the issuers of id tokens, and what is wrong with them."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import Settings, SettingsReader, load_settings
from service.settings.docs import describe
from service.settings.sources import read_content

ISSUER = '[[oidc]]\nissuer = "https://id.example"\naudiences = ["game"]\n'
HUB = '[relay]\nurl = "https://hub.example"\ntoken = "ogw_token-of-a-relay-in-tests-0123456789-0123456"\n'


def read(tmp_path: Path, toml: str, *, sandbox: bool = True) -> Settings:
    """Return the settings by this file."""
    file = tmp_path / "gateway.toml"
    file.write_text(toml)
    return load_settings({}, config_file=file, flags={"sandbox": "true"} if sandbox else {})


def test_issuers(tmp_path: Path) -> None:
    """In the order of the file, with the defaults that an operator would expect."""
    settings = read(tmp_path, ISSUER + ISSUER.replace("id.", "accounts.") + 'algorithms = ["ES256"]\n')

    assert [one.issuer for one in settings.oidc] == ["https://id.example", "https://accounts.example"]
    assert [sorted(one.algorithms) for one in settings.oidc] == [["RS256"], ["ES256"]]
    assert 'oidc[#2].issuer = "https://accounts.example"' in " ".join(describe(settings).split())


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        (ISSUER * 2, "oidc[#2].issuer in gateway.toml is there more than once: expected one [[oidc]] for each issuer"),
        (
            "".join(ISSUER.replace("id.", f"id{number}.") for number in range(9)),
            "gateway.toml has 9 [[oidc]] tables: expected at most 8",
        ),
        ("[oidc]\n", "oidc in gateway.toml is a table: expected one [[oidc]] table for each issuer"),
        ('[[oidc]]\naudiences = ["game"]\n', "oidc[#1].issuer in gateway.toml is missing"),
        (ISSUER.replace("https", "http"), "oidc[#1].issuer in gateway.toml"),
        (ISSUER.replace('"game"', ""), "oidc[#1].audiences in gateway.toml is []"),
        (ISSUER + 'jwks_url = "http://id.example/keys"\n', "oidc[#1].jwks_url in gateway.toml"),
        (ISSUER + 'algorithms = ["HS256"]\n', "oidc[#1].algorithms in gateway.toml"),
        (ISSUER + "max_age_seconds = 5\n", "oidc[#1].max_age_seconds in gateway.toml"),
    ],
)
def test_mistakes(tmp_path: Path, toml: str, line: str) -> None:
    """Each has its line."""
    with pytest.raises(SettingsError) as refusal:
        read(tmp_path, toml)

    assert refusal.value.mistakes[0].startswith(line)


def test_a_relay_has_none(tmp_path: Path) -> None:
    """They are the hub's."""
    with pytest.raises(SettingsError, match=r"\[\[oidc\]\] is set, but .* is too: the hub has the issuers"):
        read(tmp_path, HUB + ISSUER, sandbox=False)


def test_other_issuers_need_a_restart(tmp_path: Path) -> None:
    """A file that is read again says so."""
    file = tmp_path / "gateway.toml"
    file.write_text(ISSUER)
    reader = SettingsReader({}, config_file=file, flags={"sandbox": "true"})
    running = reader.read()
    file.write_text(ISSUER.replace("id.", "accounts."))
    reread = reader.read_again(read_content(file), running)

    assert reread.needs_restart == ("oidc",)
    assert reread.settings.oidc == running.oidc
