"""Id tokens that prove an address, and all others, which prove none, for one reason."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from service.errors import IssuerUnavailable
from service.ownership import Malformed, VerifiedEmail
from service.proofs.id_tokens import NOT_PROVEN, IdTokens, Issuer
from service.proofs.issuer_keys import KEPT_FOR, TRIED_EVERY, USED_FOR, IssuerKeys
from service.proofs.key_documents import fetch_keys
from tests.clock import FakeClock, settle
from tests.proofs.identities import CLIENT, ISSUER, KEYS, NOW, PLACE, Identities, Web, configuration

BEA: Final = VerifiedEmail("bea@example.com")
SOON: Final = timedelta(seconds=2)
IDENTITIES: Final = Identities()
FORGED: Final = IDENTITIES.forged()


class Desk:
    """A reader of id tokens, the issuer's documents, and what was told about its keys."""

    def __init__(
        self,
        clock: FakeClock,
        *,
        name: str = ISSUER,
        algorithms: tuple[str, ...] = ("RS256",),
        require_nonce: bool = False,
    ) -> None:
        self.web = Web({PLACE: configuration(), KEYS: IDENTITIES.jwks()})
        self.told: list[bool] = []
        fetch = partial(fetch_keys, self.web.get, issuer=name, jwks_url=None, algorithms=frozenset(algorithms))
        issuer = Issuer(
            name=name,
            audiences=frozenset({CLIENT}),
            algorithms=frozenset(algorithms),
            keys=IssuerKeys(fetch, clock=clock, told=self.told.append),
            require_nonce=require_nonce,
            longest_age=timedelta(hours=1),
        )
        self.tokens = IdTokens([issuer], clock=clock)

    async def read(
        self, text: str, *, nonce: str | None = None, address: VerifiedEmail | None = None
    ) -> VerifiedEmail | Malformed:
        """Read a token."""
        return await self.tokens.read(text, nonce=nonce, address=address, within=SOON)


@pytest.fixture
def desk(clock: FakeClock) -> Desk:
    """A reader for the tokens of one issuer."""
    return Desk(clock)


@pytest.mark.parametrize(
    "token",
    [
        IDENTITIES.token(),
        IDENTITIES.token(typ=None),
        IDENTITIES.token({"email_verified": "true"}),
        IDENTITIES.token({"email": "bea@EXAMPLE.com"}),
        IDENTITIES.token({"iat": NOW + 59}),
        IDENTITIES.token({"hd": "example.com", "name": "Bea"}),
    ],
)
async def test_a_good_token_proves_its_address(desk: Desk, token: str) -> None:
    """A control: the forged ones differ from these."""
    assert await desk.read(token) == BEA


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
async def test_a_forged_token_proves_none(desk: Desk, token: str) -> None:
    """All for the same reason."""
    assert await desk.read(token) is NOT_PROVEN


def test_there_are_enough_of_them() -> None:
    """As many as of passes, and more."""
    assert len(FORGED) >= 60


async def test_the_address_has_to_be_the_one_that_is_named(desk: Desk) -> None:
    """The domain in any spelling, the rest exactly."""
    good = IDENTITIES.token()

    assert await desk.read(good, address=BEA) == BEA
    assert await desk.read(good, address=VerifiedEmail("Bea@example.com")) is NOT_PROVEN


async def test_a_nonce(clock: FakeClock) -> None:
    """Both sides have the same, if one has any; one that is required is there."""
    free, strict = Desk(clock), Desk(clock, require_nonce=True)
    with_it, without = IDENTITIES.token({"nonce": "n-1"}), IDENTITIES.token()

    assert await free.read(with_it, nonce="n-1") == await strict.read(with_it, nonce="n-1") == BEA
    for desk, token, nonce in ((free, with_it, "n-2"), (free, without, "n-1"), (strict, without, None)):
        assert await desk.read(token, nonce=nonce) is NOT_PROVEN
    assert await strict.read(IDENTITIES.token({"nonce": ""}), nonce=None) is NOT_PROVEN


async def test_google_may_leave_out_its_scheme(clock: FakeClock) -> None:
    """No other issuer may, and it is the same issuer then."""
    desk = Desk(clock, name="https://accounts.google.com")
    desk.web.documents = {
        "https://accounts.google.com/.well-known/openid-configuration": configuration(
            issuer="https://accounts.google.com"
        ),
        KEYS: IDENTITIES.jwks(),
    }

    assert await desk.read(IDENTITIES.token({"iss": "accounts.google.com"})) == BEA
    assert await desk.read(IDENTITIES.token({"iss": "https://accounts.google.com"})) == BEA


async def test_another_algorithm_that_is_configured(clock: FakeClock) -> None:
    """The key says which algorithms it is for, and the operator which are taken."""
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "ec-1"}
    token = IDENTITIES.token(algorithm="ES256", key=key, kid="ec-1")
    answers = []
    for algorithms in (("RS256", "ES256"), ("RS256",)):
        desk = Desk(clock, algorithms=algorithms)
        desk.web.documents[KEYS] = IDENTITIES.jwks()[:-2] + b"," + _json(jwk) + b"]}"
        answers.append(await desk.read(token))

    assert answers == [BEA, NOT_PROVEN]


def _json(value: object) -> bytes:
    import msgspec

    return msgspec.json.encode(value)


async def test_keys_are_fetched_once_an_hour(desk: Desk, clock: FakeClock) -> None:
    """All who ask meanwhile share them."""
    good = IDENTITIES.token({"exp": NOW + 10_000, "iat": NOW + 60})
    assert await asyncio.gather(*(desk.read(good) for _ in range(100))) == [BEA] * 100
    clock.jump(KEPT_FOR - timedelta(seconds=1))
    await desk.read(good)
    asked = len(desk.web.asked)
    clock.jump(timedelta(seconds=1))
    await desk.read(good)

    assert (asked, len(desk.web.asked), desk.told) == (2, 4, [True, True])


async def test_a_thousand_unknown_keys_are_one_fetch(desk: Desk, clock: FakeClock) -> None:
    """Tokens that name other keys have them fetched once a minute at most, and a key that came meanwhile is found."""
    await desk.read(IDENTITIES.token())
    clock.jump(TRIED_EVERY)
    for number in range(1000):
        assert await desk.read(IDENTITIES.token(kid=f"key-{number}")) is NOT_PROVEN
    asked = len(desk.web.asked)
    desk.web.documents[KEYS] = IDENTITIES.jwks().replace(IDENTITIES.key.kid.encode(), b"rotated")
    clock.jump(TRIED_EVERY)

    assert asked == 4
    assert await desk.read(IDENTITIES.token(kid="rotated")) == BEA


async def test_tokens_that_are_not_for_us_fetch_nothing(desk: Desk) -> None:
    """A token's own words are looked at before its key is."""
    for name, token in FORGED.items():
        if name in {"another client", "ended", "another issuer", "a list of clients", "HS256 with an empty secret"}:
            await desk.read(token)

    assert desk.web.asked == []


async def test_an_issuer_that_is_away(desk: Desk, clock: FakeClock) -> None:
    """Without its keys there is no answer; once it had been there they do for a day."""
    desk.web.is_away = True
    with pytest.raises(IssuerUnavailable):
        await desk.read(IDENTITIES.token())
    desk.web.is_away = False
    clock.jump(TRIED_EVERY)
    assert await desk.read(IDENTITIES.token()) == BEA
    desk.web.is_away = True
    clock.jump(USED_FOR - timedelta(seconds=1))
    day_later = {"iat": NOW + 86_400, "exp": NOW + 90_000}
    assert await desk.read(IDENTITIES.token(day_later)) == BEA
    clock.jump(TRIED_EVERY)

    with pytest.raises(IssuerUnavailable):
        await desk.read(IDENTITIES.token(day_later))
    assert desk.told == [False, True, False, False]


async def test_an_unknown_key_of_an_issuer_that_is_away(desk: Desk, clock: FakeClock) -> None:
    """It may be a new one: no answer, and never a no."""
    await desk.read(IDENTITIES.token())
    desk.web.is_away = True
    clock.jump(TRIED_EVERY)

    with pytest.raises(IssuerUnavailable):
        await desk.read(IDENTITIES.token(kid="new"))


async def test_an_issuer_that_hangs(desk: Desk, clock: FakeClock) -> None:
    """A question waits no longer than it has time; the fetch goes on for those who come later."""
    go_on = asyncio.Event()
    get = desk.web.get

    async def hang(url: str) -> bytes:
        await go_on.wait()
        return await get(url)

    fetch = partial(fetch_keys, hang, issuer=ISSUER, jwks_url=KEYS, algorithms=frozenset({"RS256"}))
    keys = IssuerKeys(fetch, clock=clock, told=desk.told.append)
    asking = asyncio.create_task(keys.find(IDENTITIES.key.kid, "RS256", within=SOON))
    await settle()
    await clock.advance(SOON)
    with pytest.raises(IssuerUnavailable):
        await asking
    go_on.set()
    await settle()

    assert await keys.find(IDENTITIES.key.kid, "RS256", within=SOON) is not None


async def test_closing_gives_up_a_fetch(desk: Desk, clock: FakeClock) -> None:
    """Those who wait get no answer."""

    async def hang() -> dict[tuple[str, str], object]:
        await asyncio.Event().wait()
        raise AssertionError

    keys = IssuerKeys(hang, clock=clock, told=desk.told.append)  # type: ignore[arg-type]  # it never returns
    asking = asyncio.create_task(keys.find("kid", "RS256", within=SOON))
    await settle()
    await keys.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await desk.tokens.close()
    assert desk.told == []
