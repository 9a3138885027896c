"""What is printed when the sandbox starts: questions to paste into a terminal, and what to expect of them."""

import shlex
from typing import TypeAlias

import msgspec

from service.sandbox import seed
from service.sandbox.world import World

_Body: TypeAlias = dict[str, object]


def curl_lines(base_url: str, world: World, jwt: str) -> str:
    """Return curl commands for the gateway at `base_url`; `jwt` is one of user 1994, the owner."""
    game: _Body = {"game": seed.GAME_ID}
    owner = world.accounts[seed.OWNER_ID].username
    title = world.games[seed.GAME_ID].title
    owners_key = game | {"download_key": seed.OWNER_KEY}
    strangers_account = game | {"user_id": seed.STRANGER_ID}
    batch: _Body = {
        "items": [
            {"id": "a", "method": "download_key"} | owners_key,
            {"id": "b", "method": "user"} | strangers_account,
        ]
    }
    revoked_key = game | {"download_key": seed.REVOKED_KEY}
    unasked = game | {"user_id": seed.SHORT_KEY_OWNER_ID}

    def ask(expectation: str, path: str, body: _Body) -> str:
        return _curl(expectation, "POST", base_url + path, body)

    faults = f"{base_url}/sandbox/faults"
    return "\n".join(
        [
            ask(f"owned: the key of {owner} for {title}", "/verify/download-key", owners_key),
            ask("not_owned: this key was revoked", "/verify/download-key", revoked_key),
            ask(f"owned: {owner} by the JWT of the itch.io app", "/verify/jwt", game | {"jwt": jwt}),
            ask("owned: bought with this address", "/verify/email", game | {"email": seed.BUYER_EMAIL}),
            ask("owned: came with a bundle", "/verify/user", game | {"user_id": seed.BUNDLE_BUYER_ID}),
            ask("owned and not_owned, in one request", "/verify/batch", batch),
            _curl("let the store throttle everybody", "PUT", faults, {"status": 429, "retry_after": "7"}),
            ask("unknown, 503: the store was asked and said nothing", "/verify/user", unasked),
            _curl("let the store be well again", "DELETE", faults),
        ]
    )


def _curl(comment: str, method: str, url: str, body: _Body | None = None) -> str:
    words = ["curl", "-sS", "-X", method, url]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-d", msgspec.json.encode(body).decode()]
    return f"# {comment}\n{shlex.join(words)}"
