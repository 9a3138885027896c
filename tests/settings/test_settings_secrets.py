"""Secrets come in from files, and never come out."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import SettingsError
from service.secret import RedisUrl, SealingSecret, SellerKey
from service.settings import describe, documented_settings, load_settings

CANARY = "c4nary-0f-a-secret-that-nobody-may-ever-see-again"
NAMES = sorted(setting.env for setting in documented_settings() if setting.env is not None)
QUIET = sorted(name for name in NAMES if name.endswith(("_FILE", "_URL", "_KEY", "SECRET")))


def test_secrets_stand_in_files(tmp_path: Path) -> None:
    """Every secret can be read from a file, without the line end that editors leave there."""
    for name, text in {"key": "k3y\n", "secret": f"{'s' * 32}\r\n", "url": "redis://localhost"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")

    loaded = load_settings(
        {
            "OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE": str(tmp_path / "key"),
            "OWNERSHIP_GATEWAY_SECRET_FILE": str(tmp_path / "secret"),
            "OWNERSHIP_GATEWAY_REDIS__URL_FILE": str(tmp_path / "url"),
        }
    )

    assert loaded.itch.api_key == SellerKey("k3y")
    assert loaded.itch.api_key_file == tmp_path / "key"
    assert loaded.secret == SealingSecret("s" * 32)
    assert loaded.redis.url == RedisUrl("redis://localhost")


@pytest.mark.parametrize("kept", ["file", "variable", "toml"])
@pytest.mark.parametrize(
    "around", ["{}", "{} ", "\t{}\n", "\ufeff{}\r\n", " \ufeff {}\u00a0", "\u200b{}\u2060", "\u3000{}\u2028"]
)
def test_what_editors_leave_around_a_secret_is_taken_off(tmp_path: Path, kept: str, around: str) -> None:
    """The same secret comes out of a file, a variable and the configuration, for each of the three kinds."""
    texts = {"itch.api_key": "k3y", "secret": "s" * 30 + "==", "redis.url": "redis://localhost"}
    environ, lines = {}, []
    for key, text in texts.items():
        written = around.format(text)
        name = f"OWNERSHIP_GATEWAY_{key.upper().replace('.', '__')}"
        if kept == "file":
            (tmp_path / key).write_text(written, encoding="utf-8", newline="")
            environ[f"{name}_FILE"] = str(tmp_path / key)
        elif kept == "variable":
            environ[name] = written
        else:
            lines.append(f"{key} = {json.dumps(written)}")
    toml = tmp_path / "gateway.toml"
    toml.write_text("\n".join(lines), encoding="utf-8")

    loaded = load_settings(environ, config_file=toml)

    assert loaded.itch.api_key == SellerKey(texts["itch.api_key"])
    assert loaded.secret == SealingSecret(texts["secret"])
    assert loaded.redis.url == RedisUrl(texts["redis.url"])


@pytest.mark.parametrize(
    ("key", "written", "why"),
    [
        ("itch.api_key", "'k3y'", "it has quotes around it: leave only the secret"),
        ("secret", '"' + "s" * 32 + '" ', "it has quotes around it: leave only the secret"),
        ("redis.url", "REDIS_URL=redis://localhost", "a name and = stand before it: leave only the secret"),
        ("itch.api_key", '"', "it has quotes around it: leave only the secret"),
        ("itch.api_key", "ITCH_API_KEY=", "a name and = stand before it: leave only the secret"),
        ("secret", "export SECRET = " + "s" * 32, "a name and = stand before it: leave only the secret"),
        ("secret", "s" * 32 + "\u200bs", "it has more than one line, or characters in it that cannot be seen"),
        ("secret", "s" * 32 + "\u2028s", "it has more than one line, or characters in it that cannot be seen"),
        ("secret", "s" * 32 + "\rs", "it has more than one line, or characters in it that cannot be seen"),
        ("secret", "s" * 32 + "\0s", "it has more than one line, or characters in it that cannot be seen"),
    ],
)
def test_what_is_hardly_part_of_a_secret_is_refused(key: str, written: str, why: str) -> None:
    """Docker's `--env-file` hands over quotes; no secret begins and ends with them."""
    name = f"OWNERSHIP_GATEWAY_{key.upper().replace('.', '__')}"
    with pytest.raises(SettingsError) as refusal:
        load_settings({name: written, "OWNERSHIP_GATEWAY_SANDBOX": "true"})

    assert f"{name} cannot be used: {why}" in refusal.value.mistakes


def test_the_toml_file_may_name_files(tmp_path: Path) -> None:
    """The same keys name secret files in TOML."""
    (tmp_path / "key").write_text("k3y", encoding="utf-8")
    file = tmp_path / "gateway.toml"
    file.write_text(f"itch.api_key_file = {str(tmp_path / 'key')!r}", encoding="utf-8")

    assert load_settings({}, config_file=file).itch.api_key == SellerKey("k3y")


def test_a_secret_stands_in_one_place(tmp_path: Path) -> None:
    """A secret that is given both directly and as a file is refused: one of the two must be out of date."""
    file = tmp_path / "gateway.toml"
    file.write_text('[itch]\napi_key_file = "/absent"', encoding="utf-8")

    with pytest.raises(SettingsError) as refusal:
        load_settings({"OWNERSHIP_GATEWAY_ITCH__API_KEY": CANARY}, config_file=file)

    assert refusal.value.mistakes == [
        "OWNERSHIP_GATEWAY_ITCH__API_KEY and itch.api_key_file in gateway.toml are both set: keep one"
    ]


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (None, "reading {path} fails: No such file or directory"),
        (b"", "{path} is empty"),
        (b"\n", "{path} is empty"),
        (b"\xff\xfe", "{path} is not UTF-8 text"),
        (b"k" * 65_537, "{path} is larger than 65536 bytes"),
        (b"two words", "expected printable ASCII without spaces, in {path}"),
        (b"two\nlines", "it has more than one line, or characters in it that cannot be seen, in {path}"),
        (b'"k3y"', "it has quotes around it: leave only the secret, in {path}"),
        (b"KEY=k3y", "a name and = stand before it: leave only the secret, in {path}"),
    ],
)
def test_a_file_without_a_usable_secret(tmp_path: Path, raw: bytes | None, fault: str) -> None:
    """A file that holds no usable secret is refused in the name of the setting, with the path, without content."""
    path = tmp_path / "key"
    if raw is not None:
        path.write_bytes(raw)

    with pytest.raises(SettingsError) as refusal:
        load_settings({"OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE": str(path)})

    told = fault.format(path=repr(str(path)))
    assert refusal.value.mistakes == [f"OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE cannot be used: {told}"]


@pytest.mark.parametrize("path", ["/nonexistent/itch/key", "/run/secrets/itch-api-key", "/absent"])
def test_a_file_that_is_not_there_is_named(path: str) -> None:
    """The path shows the operator which mount is missing."""
    with pytest.raises(SettingsError) as refusal:
        load_settings({"OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE": path})

    assert refusal.value.mistakes == [
        f"OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE cannot be used: reading {path!r} fails: No such file or directory"
    ]


@pytest.mark.parametrize(
    "secret",
    [CANARY, f"/{CANARY}", f"/{CANARY}/x", f"redis://:{CANARY}@redis/0", "/wt7zvFzhNcTM+L5S/e1=", "k" * 300],
)
def test_a_secret_in_the_place_of_its_file_is_not_named(secret: str) -> None:
    """A path that looks like a secret, and leads nowhere, may be one."""
    with pytest.raises(SettingsError) as refusal:
        load_settings({"OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE": secret})

    [line] = refusal.value.mistakes
    assert line.startswith("OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE cannot be used: reading the file (its name may be a ")
    assert secret not in line


@pytest.mark.parametrize("mistake", ["", " and a space", "\n", "é"])
@pytest.mark.parametrize("name", [*QUIET, "OWNERSHIP_GATEWAY_ITCH__API_KYE", "OWNERSHIP_GATEWAY_CALLERS"])
def test_no_line_repeats_a_secret(name: str, mistake: str) -> None:
    """Wherever a secret was put, right or wrong or misspelt, no line about it shows it."""
    with pytest.raises(SettingsError) as refusal:
        load_settings({name: CANARY + mistake, "OWNERSHIP_GATEWAY_PORT": "x"})

    assert CANARY not in str(refusal.value)
    assert CANARY not in repr(refusal.value)
    assert refusal.value.__context__ is None


@pytest.mark.parametrize(
    "toml",
    [
        f'secrets = "{CANARY}"',
        f'secret = "{CANARY}" "',
        f'secret = ["{CANARY}"]',
        f'[itch]\napi_key = "{CANARY} x"',
        f'[itch]\nbase_url = "https://me:{CANARY}@api.itch.io"',
        f'itch = "{CANARY}"',
        f'[[callers]]\nname = "a"\ntoken_sha256 = "{CANARY}"\ntoken = "{CANARY}"',
        f'callers = ["{CANARY}"]',
        f'port = {{password = "{CANARY}"}}',
        f'port = [["{CANARY}"]]',
    ],
)
def test_no_line_about_the_file_repeats_a_secret(tmp_path: Path, toml: str) -> None:
    """A value under a wrong name, in a wrong shape or next to a syntax error is not repeated."""
    file = tmp_path / "gateway.toml"
    file.write_text(toml, encoding="utf-8")

    with pytest.raises(SettingsError) as refusal:
        load_settings({}, config_file=file)

    assert CANARY not in str(refusal.value)


def test_the_settings_themselves_do_not_show_secrets() -> None:
    """Neither the description of the settings nor their repr shows a secret."""
    loaded = load_settings(
        {
            "OWNERSHIP_GATEWAY_ITCH__API_KEY": CANARY,
            "OWNERSHIP_GATEWAY_SECRET": f"{CANARY}2",
            "OWNERSHIP_GATEWAY_REDIS__URL": f"redis://:{CANARY}@localhost",
        }
    )

    assert CANARY not in describe(loaded) + repr(loaded)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(NAMES) | st.text(max_size=12).map(lambda name: f"OWNERSHIP_GATEWAY_{name}"),
        st.text()
        | st.text(alphabet=st.characters(exclude_categories=()))
        | st.integers().map(str)
        | st.floats().map(str)
        | st.sampled_from(["true", "null", "http://[", "redis://[::", "https://a:b", "/", "/dev/null", "\udcff", "."]),
    )
)
def test_garbage_is_refused_in_an_orderly_way(environ: dict[str, str]) -> None:
    """Any environment yields settings or a list of lines, and never another exception."""
    lines = _lines_about(environ)

    assert lines
    assert all(line.isprintable() for line in lines)


def _lines_about(environ: dict[str, str]) -> list[str]:
    try:
        return describe(load_settings(environ)).splitlines()
    except SettingsError as refusal:
        return refusal.mistakes
