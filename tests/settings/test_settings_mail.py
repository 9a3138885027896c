"""The settings of the mail server, and the text of mails."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.mail_text import read_mail_text
from service.settings import Settings, load_settings

KEY = '[itch]\napi_key = "a-key"\n'
SERVER = 'url = "smtps://user:secret-word@mail.example"\n'
SENDER = 'from = "noreply@studio.example"\n'


def read(directory: Path, toml: str, *, sandbox: bool = False) -> Settings:
    """Return the settings of a file."""
    file = directory / "gateway.toml"
    file.write_text(toml if sandbox else KEY + toml, encoding="utf-8")
    return load_settings({}, config_file=file, flags={"sandbox": "true"} if sandbox else {})


def mistakes(directory: Path, toml: str, *, sandbox: bool = False) -> list[str]:
    """Return the mistakes in a file."""
    with pytest.raises(SettingsError) as refused:
        read(directory, toml, sandbox=sandbox)
    return refused.value.mistakes


def test_a_server_and_a_sender(tmp_path: Path) -> None:
    settings = read(tmp_path, f"[mail]\n{SERVER}{SENDER}")

    assert settings.has_mail
    assert (settings.mail.code_seconds, settings.mail.proof_seconds, settings.mail.per_minute) == (600, 1800, 30)
    assert not read(tmp_path, "").has_mail
    assert read(tmp_path, f"[mail]\n{SENDER}", sandbox=True).has_mail


def test_the_server_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("smtp://mail.example\n")
    settings = read(tmp_path, f'[mail]\nurl_file = "{tmp_path / "url"}"\n{SENDER}')

    assert settings.mail.url is not None
    assert settings.mail.url.reveal() == "smtp://mail.example"


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        (SERVER, "mail.url in gateway.toml is set without OWNERSHIP_GATEWAY_MAIL__FROM: set both or neither"),
        (SENDER, "mail.from in gateway.toml is set without OWNERSHIP_GATEWAY_MAIL__URL: set both or neither"),
        (
            f'url = "https://user:secret-word@mail.example"\n{SENDER}',
            "mail.url in gateway.toml cannot be used: expected smtps://[user:password@]host[:port] or"
            " smtp://[user:password@]host[:port], and nothing after it",
        ),
        (
            f'{SERVER}from = "Studio <noreply@studio.example>"\n',
            "mail.from in gateway.toml is 'Studio <noreply@studio.example>': expected one plain address such as"
            " noreply@example.com",
        ),
        (
            f"{SERVER}{SENDER}code_seconds = 60\n",
            "mail.code_seconds in gateway.toml is 60: expected a whole number from 120 to 3600",
        ),
        (
            f'{SERVER}{SENDER}text_file = ""\n',
            "mail.text_file in gateway.toml cannot be used: expected a path",
        ),
    ],
)
def test_mistakes(tmp_path: Path, toml: str, line: str) -> None:
    found = mistakes(tmp_path, f"[mail]\n{toml}")
    assert found == [line]
    assert "secret-word" not in "".join(found)


def test_the_sandbox_has_no_server(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, f"[mail]\n{SERVER}{SENDER}", sandbox=True)
    assert "the sandbox never stands in for a real store" in line


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the subject, is none of 1 to 200 characters"),
        (b"x" * 201 + b"\n{code}", "the subject, is none of 1 to 200 characters"),
        (b"a\x07subject\n{code}", "the subject, is none of 1 to 200 characters"),
        (b"{code} alone\n", "has no {code} below its first line"),
        (b"subject\nno code\n", "has no {code} below its first line"),
        (b"subject\n{code}\0\n", "has no {code} below its first line"),
        (b"subject\n{code}\xff\n", "is not UTF-8 text"),
        (b"subject\n{code}" + b"x" * 8192, "is larger than 8192 bytes"),
        (None, "No such file or directory"),
    ],
)
def test_a_text_that_cannot_be_used(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "mail.txt"
    if content is not None:
        file.write_bytes(content)
    (line,) = mistakes(tmp_path, f'[mail]\n{SERVER}{SENDER}text_file = "{file}"\n')

    assert line.startswith("mail.text_file in gateway.toml cannot be used: ")
    assert why in line


def test_a_text_may_come_from_windows(tmp_path: Path) -> None:
    """With a byte order mark, and other ends of lines; what is in braces and unknown stays as it is."""
    file = tmp_path / "mail.txt"
    file.write_bytes(b"\xef\xbb\xbf{game}: {code}\r\n\r\n{code} {name} {0}\r\n")
    text = read_mail_text(file).filled(code="12345678", game="x-moon", minutes=10)

    assert (text.subject, text.body) == ("x-moon: 12345678", "12345678 {name} {0}\n")
    assert "12345678" not in repr(text)
