"""Questions to the seeded world of the sandbox, and the answers that the documentation promises."""

import pytest

from service.ownership import Method
from service.sandbox import seed
from service.sandbox.jwts import mint
from service.sandbox.seed import Example, examples
from tests.clock import START
from tests.gateways import Asker

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def gateway(shared: Asker) -> Asker:
    """The gateway of this module."""
    return shared


def all_examples() -> list[Example]:
    """Return the questions that the sandbox suggests; what JWTs it would sign is of no matter yet."""
    return examples(lambda user_id, lifetime: mint(user_id=user_id, issued_at=START, lifetime=lifetime))


@pytest.mark.parametrize("example", all_examples(), ids=lambda example: example.about)
async def test_examples_of_the_sandbox_hold(gateway: Asker, example: Example) -> None:
    """Every question that the sandbox suggests is answered as it says, in the sandbox's name."""
    body = (await gateway.http.post(example.path, json=example.body)).json()

    assert (body["reason"], body["outcome"], body["caveats"][0]) == (example.reason, example.reason.outcome, "sandbox")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (f"https://leafo.itch.io/x-moon/download/{seed.OWNER_KEY}", "download_key"),
        (f"leafo.itch.io/x-moon/download/{seed.OWNER_KEY}?x=1#y", "download_key"),
        ("https://leafo.itch.io/x-moon/download/eyJpZCI6Mzk0fQ%3d%3d.q5G1hcXbpnoXUd%2b4", "temporary_download_link"),
        (f"https://itch.io/bundle/download/{seed.OWNER_KEY}", "bundle_link"),
        (f"https://itch.io.example/x/download/{seed.OWNER_KEY}", "malformed_download_key"),
        (f" {seed.OWNER_KEY}", "download_key"),
        (f"<https://leafo.itch.io/x-moon/download/{seed.OWNER_KEY}>.", "download_key"),
        (f"{seed.OWNER_KEY[:9]} {seed.OWNER_KEY[9:]}", "malformed_download_key"),
    ],
)
async def test_pasted_links_are_recognised(gateway: Asker, key: str, reason: str) -> None:
    """Players paste whole URLs; those that hold no key are named."""
    assert (await gateway.key(key)).json()["reason"] == reason


@pytest.mark.parametrize("paste", [" {}\n", "`{}`", '"{}".', "<https://amos.itch.io/x-moon/download/{}>"])
async def test_paste_is_known_as_what_it_holds(gateway: Asker, paste: str) -> None:
    """Marks around a key make it no other key: what is known of it answers without the store."""
    await gateway.key(seed.OWNER_KEY)

    body = (await gateway.key(paste.format(seed.OWNER_KEY))).json()

    assert (body["allowed"], body["cache"]) == (True, "memory")


@pytest.mark.parametrize(
    ("method", "credential", "caveats", "advice"),
    [
        (Method.DOWNLOAD_KEY, seed.REVOKED_KEY, ["sandbox"], "copy_key_again"),
        (Method.USER, seed.STRANGER_ID, ["sandbox", "bundle_key_may_be_unclaimed"], "open_game_once"),
        (
            Method.EMAIL,
            seed.STRANGER_EMAIL,
            ["sandbox", "bundle_key_may_be_unclaimed", "email_misses_claimed_keys"],
            "use_itch_login",
        ),
    ],
)
async def test_a_no_says_how_far_to_trust_it_and_what_helps(
    gateway: Asker, method: Method, credential: str | int, caveats: list[str], advice: str
) -> None:
    """A no that itch.io may be wrong about carries the caveat, and what the player can do about it."""
    body = (await gateway.ask(method, credential)).json()

    assert (body["caveats"], body["advice"]) == (caveats, advice)


@pytest.mark.parametrize("game", [3, "3", "x-moon"])
async def test_game_may_be_named_by_number_or_slug(gateway: Asker, game: int | str) -> None:
    """A game has an id and, where it is configured, a name."""
    assert (await gateway.key(seed.OWNER_KEY, game=game)).json()["game_id"] == 3
