"""`doctor --record`: what it asks, what it tells, and the file that it writes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import Result

from service.cli.exits import Exit
from service.ownership import Reason
from service.sandbox.seed import (
    BUNDLE_BUYER_ID,
    BUYER_EMAIL,
    FOREIGN_GAME_ID,
    OTHER_GAME_ID,
    OWNER_ID,
    OWNER_KEY,
    REVOKED_KEY,
    SELLER_KEY,
    STRANGER_ID,
)
from service.sandbox.store_endpoints import StoreEndpoint
from service.sandbox.world_content import Channel, SellerKeyState
from tests.cli.conftest import Upstream, WriteConfig
from tests.cli.terminals import environment, run, run_in_background
from tests.gateways import X_MOON
from tests.stores.raw_server import closed_port

SERVER_SIDE: Final = {"OWNERSHIP_GATEWAY_ITCH__DIALECT": "server-side"}
OF_THE_SELLER: Final = ["/profile", "/credentials/info", "/profile/games"]
OF_A_PLAYER: Final = ["/games/{id}/download_keys", "/games/{id}/purchases"]


async def recorded(
    store: Upstream, file: Path, *arguments: str, stdin: str = "", variables: dict[str, str] | None = None
) -> Result:
    """Record the answers of this store."""
    return await run_in_background(
        "doctor",
        "--json",
        "--record",
        str(file),
        *arguments,
        environ=store.variables | (variables or {}),
        stdin=stdin.encode(),
    )


def verdicts(result: Result) -> dict[str, str]:
    """Return how each answer compares, by the end of its path and who asked for it."""
    found = json.loads(result.stdout)["checks"]
    return {one["check"].removeprefix("itch.io "): one["verdict"] for one in found}


def details(result: Result) -> str:
    """Return all that the findings say."""
    return "\n".join(one["detail"] for one in json.loads(result.stdout)["checks"])


def record_in(file: Path) -> dict[str, Any]:
    """Return what is recorded of the one store."""
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    (store,) = record["stores"]
    return store  # type: ignore[no-any-return]  # JSON


def answer_to(file: Path, path: str, credential: str = "seller key") -> dict[str, Any]:
    """Return the one recorded answer to this question."""
    answers = [
        one for one in record_in(file)["answers"] if (one["asked"], one["with_credential"]) == (path, credential)
    ]
    (answer,) = answers
    return answer  # type: ignore[no-any-return]  # JSON


def names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder."""
    return [file.name for file in folder.iterdir()]


def asked_of(store: Upstream) -> list[str]:
    """Return the paths that the store was asked for."""
    return [seen.path for seen in store.sandbox.journal.report().last]


async def test_the_sandbox_answers_as_expected(store: Upstream, tmp_path: Path) -> None:
    """The sandbox and the code have the same idea of itch.io: each question is asked once, and nothing differs."""
    result = await recorded(store, tmp_path / "record", "--user-id", str(BUNDLE_BUYER_ID))

    assert result.exit_code == Exit.OK, result.output
    assert verdicts(result) == {
        "configuration": "ok",
        "/profile (seller key)": "ok",
        "/credentials/info (seller key)": "ok",
        "/profile/games (seller key)": "ok",
        "/games/{id}/download_keys (seller key)": "ok",
        "/games/{id}/purchases (seller key)": "ok",
        "record": "ok",
    }
    assert [one["asked"] for one in record_in(tmp_path / "record")["answers"]] == OF_THE_SELLER + OF_A_PLAYER
    assert len(asked_of(store)) == 5


async def test_the_older_api_answers_as_expected(store: Upstream, tmp_path: Path) -> None:
    """Its paths, dates and statuses are others, and expected."""
    store.base_url += "/api/1"
    owner = ["--user-id", str(OWNER_ID)]

    result = await recorded(store, tmp_path / "record", *owner, variables=SERVER_SIDE)

    assert set(verdicts(result).values()) == {"ok"}
    answer = answer_to(tmp_path / "record", "/key/game/{id}/download_keys")
    assert answer["body"]["download_key"]["created_at"] == "date 2014-02-28 __:__:__"
    refused = await recorded(store, tmp_path / "refused", variables=SERVER_SIDE)
    assert set(verdicts(refused).values()) == {"ok"}
    assert answer_to(tmp_path / "refused", "/key/game/{id}/download_keys")["status"] == 200


async def test_a_token_of_an_own_application(store: Upstream, tmp_path: Path) -> None:
    """The application is asked about first, then the player, then what the player has."""
    token = store.sandbox.world.mint_access_token(OWNER_ID, application_of=None)

    result = await recorded(store, tmp_path / "record", "--method", "access_token", stdin=token)

    assert set(verdicts(result).values()) == {"ok"}
    asked = [(one["asked"], one["with_credential"]) for one in record_in(tmp_path / "record")["answers"]]
    assert asked[3:] == [
        ("/games/{id}/ownership", "access token"),
        ("/profile", "access token"),
        *((path, "seller key") for path in OF_A_PLAYER),
    ]
    assert answer_to(tmp_path / "record", "/games/{id}/ownership", "access token")["body"] == {"owns": True}
    assert record_in(tmp_path / "record")["credential"] == {"access_token": "text of 40 characters: letters, digits"}


async def test_a_token_of_a_foreign_application(store: Upstream, tmp_path: Path) -> None:
    """Its words are recorded, and no player is asked about."""
    token = store.sandbox.world.mint_access_token(OWNER_ID, application_of=OWNER_ID)

    result = await recorded(store, tmp_path / "record", "--method", "access_token", stdin=token)

    assert "it says `invalid game`" in details(result)
    assert f"itch.io refuses what standard input held: {Reason.REFUSED_ACCESS_TOKEN}" in details(result)
    assert [one["asked"] for one in record_in(tmp_path / "record")["answers"]] == [
        *OF_THE_SELLER,
        "/games/{id}/ownership",
    ]


async def test_two_answers_that_contradict_each_other(store: Upstream, tmp_path: Path) -> None:
    """It is not known what /ownership counts: a record of a real token will tell."""
    token = store.sandbox.world.mint_access_token(STRANGER_ID, application_of=None)
    store.befall(endpoint=StoreEndpoint.OWNERSHIP, body='{"owns":true}')
    says_yes = await recorded(store, tmp_path / "yes", "--method", "access_token", stdin=token)
    store.sandbox.world.mint_key(3, user_id=STRANGER_ID)
    store.befall(endpoint=StoreEndpoint.OWNERSHIP, body='{"owns":false}')
    says_no = await recorded(store, tmp_path / "no", "--method", "access_token", stdin=token)

    assert "by /ownership the player owns the game, by keys and purchases it is" in details(says_yes)
    assert "by /ownership the player does not own the game, by keys" in details(says_no)
    assert len(record_in(tmp_path / "no")["notes"]) == 1


async def test_a_jwt_and_its_claims(store: Upstream, tmp_path: Path) -> None:
    """itch.io documents no claim: which there are is recorded, too."""
    jwt = store.sandbox.mint_jwt(OWNER_ID).jwt

    result = await recorded(store, tmp_path / "record", "--method", "jwt", stdin=jwt + "\n")

    assert set(verdicts(result).values()) == {"ok"}
    assert record_in(tmp_path / "record")["credential"]["header"] == {"typ": "JWT", "alg": "HS256"}
    assert record_in(tmp_path / "record")["credential"]["claims"] == {
        "sub": "text of 4 characters: digits",
        "iat": "integer of 10 digits",
        "exp": "integer of 10 digits",
    }


async def test_a_key_an_address_and_a_user(store: Upstream, tmp_path: Path) -> None:
    """There are no purchases by a key; a named user goes before the owner of a token, and is asked for beside a key."""
    jwt = store.sandbox.mint_jwt(STRANGER_ID).jwt
    by_key = await recorded(store, tmp_path / "key", "--method", "download_key", stdin=OWNER_KEY)
    by_email = await recorded(store, tmp_path / "email", "--method", "email", stdin=BUYER_EMAIL)
    named = ["--method", "jwt", "--user-id", str(OWNER_ID)]
    by_user = await recorded(store, tmp_path / "user", *named, stdin=jwt)
    both = ["--method", "download_key", "--user-id", str(OWNER_ID)]
    by_both = await recorded(store, tmp_path / "both", *both, stdin=OWNER_KEY)

    assert {result.exit_code for result in (by_key, by_email, by_user, by_both)} == {Exit.OK}
    answers = record_in(tmp_path / "both")["answers"][-3:]
    assert [answer["parameters"] for answer in answers] == [["download_key"], ["user_id"], ["user_id"]]
    key = answer_to(tmp_path / "key", "/games/{id}/download_keys")
    assert key["body"]["download_key"]["key"] == "text of 40 characters: letters, digits"
    assert key["parameters"] == ["download_key"]
    assert len(record_in(tmp_path / "key")["answers"]) == 4
    assert answer_to(tmp_path / "email", "/games/{id}/purchases")["body"]["purchases"]["list of"] == 1
    assert "owner" in answer_to(tmp_path / "user", "/games/{id}/download_keys")["body"]["download_key"]


async def test_the_words_of_a_no(store: Upstream, tmp_path: Path) -> None:
    """The status beside them is not documented."""
    result = await recorded(store, tmp_path / "record", "--method", "download_key", stdin=REVOKED_KEY)

    assert "as the gateway expects; it says `invalid download key`" in details(result)
    assert answer_to(tmp_path / "record", "/games/{id}/download_keys")["status"] == 400


async def test_a_channel_is_asked_for_where_the_gateway_may(
    store: Upstream, tmp_path: Path, write_config: WriteConfig
) -> None:
    """Without a credential, and for the first of them alone."""
    store.sandbox.world.push_build(Channel(3, "linux", "1.2.3"))
    config = write_config(X_MOON + 'channels = ["windows", "linux"]\n')

    result = await recorded(store, tmp_path / "record", "--config", config)

    assert set(verdicts(result).values()) == {"ok"}
    answer = answer_to(tmp_path / "record", "/wharf/latest", "nothing")
    assert answer["body"] == {"latest": "text of 5 characters: digits, signs"}


async def test_the_game_to_ask_about(store: Upstream, tmp_path: Path, write_config: WriteConfig) -> None:
    """By its slug or its id, else one that is configured, else one that the key sees."""
    config = [
        "--config",
        write_config(f"[games.far-shore]\nid = {FOREIGN_GAME_ID}\n[games.sun-garden]\nid = {OTHER_GAME_ID}\n"),
    ]
    for number, game in enumerate([["--game", "sun-garden", *config], ["--game", "3"], config, []]):
        await recorded(store, tmp_path / str(number), *game)

    asked = [path for path in asked_of(store) if path.endswith("download_keys")]
    assert sorted(asked) == [
        "/games/3/download_keys",
        "/games/3/download_keys",
        "/games/4/download_keys",
        "/games/4/download_keys",
    ]


async def test_a_game_of_somebody_else(store: Upstream, tmp_path: Path) -> None:
    """The failure is a part of the record."""
    result = await recorded(store, tmp_path / "record", "--game", str(FOREIGN_GAME_ID))

    assert result.exit_code == Exit.NO
    assert "the gateway cannot use it: the seller's API key cannot see this game (forbidden)" in details(result)
    assert "it says `invalid game`" in details(result)
    assert "cannot see" in answer_to(tmp_path / "record", "/games/{id}/download_keys")["no_answer"]


async def test_without_a_game(store: Upstream, tmp_path: Path) -> None:
    """There is no player to ask about, either."""
    store.befall(endpoint=StoreEndpoint.GAMES, body='{"games":{}}')

    result = await recorded(store, tmp_path / "record")

    assert "there is no game to ask about" in details(result)
    assert len(record_in(tmp_path / "record")["answers"]) == 3


async def test_a_refused_key(store: Upstream, tmp_path: Path) -> None:
    """The rest is asked as far as it can be."""
    store.sandbox.world.seller_keys[SELLER_KEY] = SellerKeyState(revoked=True)

    result = await recorded(store, tmp_path / "record", "--game", "3")

    assert result.exit_code == Exit.NO
    assert "it says `invalid key`" in details(result)
    assert "there is no player to ask about" in details(result)
    assert answer_to(tmp_path / "record", "/profile")["status"] == 401


async def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    """The cause is recorded in the word that logs have for it."""
    store = Upstream()
    store.base_url = closed_port()

    result = await recorded(store, tmp_path / "record")

    assert result.exit_code == Exit.NO
    answer = answer_to(tmp_path / "record", "/profile")
    assert answer["no_answer"] == "the gateway cannot use it: no answer from the store (refused)"
    assert "status" not in answer


async def test_a_store_that_asks_to_be_left_alone(store: Upstream, tmp_path: Path) -> None:
    """It is: what was not asked is said."""
    store.befall(endpoint=StoreEndpoint.PROFILE, status=429, retry_after="60")

    result = await recorded(store, tmp_path / "record")

    assert answer_to(tmp_path / "record", "/profile")["retry_after_seconds"] == 60
    assert "the seller's scopes: not asked: " in details(result)
    assert len(asked_of(store)) == 1


async def test_a_page_in_the_place_of_an_answer(store: Upstream, tmp_path: Path) -> None:
    """Its length is recorded, and that it is one."""
    store.befall(endpoint=StoreEndpoint.CREDENTIALS, html_challenge=True)

    await recorded(store, tmp_path / "record")

    answer = answer_to(tmp_path / "record", "/credentials/info")
    assert answer["body"].startswith("a web page of ")
    assert answer["content_type"] == "text/html; charset=utf-8"


async def test_what_differs_is_told(store: Upstream, tmp_path: Path) -> None:
    """A difference that the gateway can live with is a warning."""
    body = '{"user":{"id":1994,"username":"amos","developer":1,"timezone":"Europe/Athens"}}'
    store.befall(endpoint=StoreEndpoint.PROFILE, body=body)

    result = await recorded(store, tmp_path / "record")

    assert result.exit_code == Exit.OK
    assert verdicts(result)["/profile (seller key)"] == "warning"
    assert answer_to(tmp_path / "record", "/profile")["differences"] == [
        "`user.developer` is integer, expected: boolean",
        "`user.<8 characters>` is new: text of 13 characters: letters, signs",
    ]


async def test_the_older_api_has_no_access_tokens(store: Upstream, tmp_path: Path) -> None:
    """The store is not asked."""
    how = ["--method", "access_token"]

    result = await recorded(store, tmp_path / "record", *how, stdin="a" * 40, variables=SERVER_SIDE)

    assert (result.exit_code, asked_of(store)) == (Exit.USAGE, [])
    assert not (tmp_path / "record").exists()


@pytest.mark.parametrize(
    ("method", "pasted", "why"),
    [
        ("jwt", "personalApiKeyPersonalApiKeyPersonalApiKe", Reason.API_KEY_NOT_ACCEPTED),
        ("jwt", "a.b.c", Reason.MALFORMED_JWT),
        ("access_token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.xxxxxxx", Reason.MALFORMED_ACCESS_TOKEN),
        ("download_key", "https://elsewhere.example/x", Reason.MALFORMED_DOWNLOAD_KEY),
        ("email", "no address", "nothing was asked"),
    ],
)
async def test_what_cannot_be_a_credential_goes_nowhere(
    store: Upstream, tmp_path: Path, method: str, pasted: str, why: str
) -> None:
    """It is not repeated either."""
    result = await recorded(store, tmp_path / "record", "--method", method, stdin=pasted)

    assert (result.exit_code, asked_of(store)) == (Exit.USAGE, [])
    assert why in result.stderr
    assert pasted not in result.output
    assert not (tmp_path / "record").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--overwrite"], "go with --record"),
        (["--game", "3"], "go with --record"),
        (["--record", "{file}", "--game", "x-moon"], "--game is neither"),
        (["--record", "{file}", "--game", "0"], "--game is neither"),
        (["--record", "{file}", "--game", "9" * 17], "--game is neither"),
        (["--record", "{file}", "--user-id", "0"], "--user-id is no itch.io user id"),
        (["--record", "{file}/record"], "no file can be written in"),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, arguments: list[str], why: str) -> None:
    """They are refused before anything is asked."""
    file = tmp_path / "record"
    given = [one.format(file=file) for one in arguments]

    result = run("doctor", "--sandbox", *given)

    assert result.exit_code == Exit.USAGE
    assert why in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_relay_has_nothing_to_record(tmp_path: Path, write_config: WriteConfig) -> None:
    """It has no seller's key."""
    config = write_config('[relay]\nurl = "https://hub.example"\ntoken = "ogw_' + "a" * 43 + '"\n')

    result = run("doctor", "--config", config, "--record", str(tmp_path / "record"))

    assert result.exit_code == Exit.USAGE
    assert "record at its hub" in result.stderr


async def test_a_store_that_is_slow(store: Upstream, tmp_path: Path) -> None:
    """The gateway's own patience counts."""
    store.befall(endpoint=StoreEndpoint.CREDENTIALS, latency_ms=60_000)

    result = await recorded(store, tmp_path / "record", variables={"OWNERSHIP_GATEWAY_ITCH__TIMEOUT": "0.5"})

    assert result.exit_code == Exit.NO
    answer = answer_to(tmp_path / "record", "/credentials/info")
    assert answer["no_answer"] == "the gateway cannot use it: the store took too long (timeout)"
    assert len(record_in(tmp_path / "record")["answers"]) == 5


def test_a_check_without_a_record_imports_nothing_of_it() -> None:
    """Neither does a gateway, which has nothing of the command."""
    program = """
import sys
from service.cli import main
main(["doctor", "--sandbox"], standalone_mode=False)
print([name for name in sys.modules if name.startswith("service.cli.recording")])
"""

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment()
    )

    assert ended.stdout.splitlines()[-1] == "[]"


def test_the_own_sandbox_is_named_as_such(tmp_path: Path) -> None:
    """Such a file is not taken for one about itch.io."""
    run("doctor", "--sandbox", "--record", str(tmp_path / "record"))

    record = record_in(tmp_path / "record")
    assert (record["sandbox"], record["usual_address"], record["api"]) == (True, False, "current")


async def test_it_is_for_its_owner_alone(store: Upstream, tmp_path: Path) -> None:
    """It needs no umask for that, and nothing else is left there."""
    await recorded(store, tmp_path / "record")

    assert (tmp_path / "record").stat().st_mode & 0o777 == 0o600
    assert names_in(tmp_path) == ["record"]


async def test_what_is_there_stays(store: Upstream, tmp_path: Path) -> None:
    """The store is not asked in vain."""
    (tmp_path / "record").write_text("mine")

    result = await recorded(store, tmp_path / "record")

    assert result.exit_code == Exit.USAGE
    assert "is there already: name another file, or add --overwrite" in result.stderr
    assert (tmp_path / "record").read_text() == "mine"
    assert asked_of(store) == []


async def test_it_is_replaced_where_that_is_wanted(store: Upstream, tmp_path: Path) -> None:
    """Its mode, too."""
    (tmp_path / "record").write_text("mine")
    (tmp_path / "record").chmod(0o644)

    result = await recorded(store, tmp_path / "record", "--overwrite")

    assert result.exit_code == Exit.OK
    assert record_in(tmp_path / "record")["store"] == "itch.io"
    assert (tmp_path / "record").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("overwrite", "code"), [([], Exit.USAGE), (["--overwrite"], Exit.OK)])
async def test_a_link_leads_nowhere(store: Upstream, tmp_path: Path, overwrite: list[str], code: Exit) -> None:
    """Its target is left alone, also where that is not there yet."""
    target = tmp_path / "target"
    (tmp_path / "record").symlink_to(target)

    result = await recorded(store, tmp_path / "record", *overwrite)

    assert result.exit_code == code
    assert not target.exists()
    assert (tmp_path / "record").is_symlink() is (code is Exit.USAGE)
    assert (asked_of(store) == []) is (code is Exit.USAGE)
