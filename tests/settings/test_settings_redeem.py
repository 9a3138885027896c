"""The secrets of redeem tokens stand in the table of a game, or in files that it names."""

from pathlib import Path
from typing import Final

import pytest

from service.errors import SettingsError
from service.secret import RedeemKeys, RedeemSecret
from service.settings import Settings, describe, load_settings

CANARY: Final = "c4nary-0f-a-redeem-secret"


def load(directory: Path, lines: str) -> Settings:
    """Return the settings with these lines about a game."""
    file = directory / "gateway.toml"
    file.write_text(f"sandbox = true\n[games.x-moon]\nid = 3\n{lines}\n[games.tea]\nid = 5\n", encoding="utf-8")
    return load_settings({}, config_file=file)


def test_secrets_of_a_game(tmp_path: Path) -> None:
    """From a file or the table, without what editors leave around them; never shown."""
    (tmp_path / "redeem").write_text(f"\ufeff{CANARY}\r\n", encoding="utf-8")
    settings = load(tmp_path, f'redeem_secret_file = "{tmp_path}/redeem"\nnext_redeem_secret = " {CANARY}-2\\n"')
    moon, tea = settings.games

    assert moon.redeem_keys == RedeemKeys(
        secret=RedeemSecret(CANARY),
        file=tmp_path / "redeem",
        next_secret=RedeemSecret(f"{CANARY}-2"),
        next_file=None,
    )
    assert tea.redeem_keys is None
    assert "games.x-moon.redeem_secret = set" in describe(settings)
    assert CANARY not in describe(settings) + repr(settings)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            'redeem_secret = "too-short"',
            "games.x-moon.redeem_secret in gateway.toml cannot be used: expected at least 16",
        ),
        (f"next_redeem_secret = \"'{CANARY}'\"", "quotes around it"),
        ("redeem_secret = 5", "games.x-moon.redeem_secret in gateway.toml cannot be used"),
        ("redeem_secret_file = 5", "games.x-moon.redeem_secret_file in gateway.toml"),
        ('redeem_secret_file = "/no/such/file"', "reading '/no/such/file' fails"),
        (f'redeem_secret = "{CANARY}"\nredeem_secret_file = "/no"', "are both set: keep one"),
    ],
)
def test_mistakes(tmp_path: Path, lines: str, words: str) -> None:
    """One line for each, which names the setting and repeats no secret."""
    with pytest.raises(SettingsError) as error:
        load(tmp_path, lines)

    (line,) = error.value.mistakes
    assert words in line
    assert CANARY not in line


def test_a_file_with_something_short(tmp_path: Path) -> None:
    """The line names the setting and the file."""
    (tmp_path / "redeem").write_text("too-short", encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load(tmp_path, f'redeem_secret_file = "{tmp_path}/redeem"\naccept = []')

    assert [("redeem_secret_file" in line, "too-short" in line) for line in error.value.mistakes] == [
        (True, False),
        (False, False),
    ]
