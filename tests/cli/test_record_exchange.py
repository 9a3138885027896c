"""A client that keeps what another one asks and is answered."""

from collections.abc import Mapping

import pytest

from service.cli.recording.exchange import Exchange, HeardClient
from service.errors import SourceUnavailable
from service.ownership import AppJwt
from service.secret import Secret, SellerKey
from service.stores.answer import LARGEST_BODY, StoreAnswer


class OtherClient:
    """A client with one answer."""

    def __init__(self, answer: StoreAnswer | None) -> None:
        self.answer = answer
        self.closed = False

    async def get(
        self, path: str, *, bearer: Secret | None, parameters: Mapping[str, str], largest: int = LARGEST_BODY
    ) -> StoreAnswer:
        """Give the answer, or none."""
        del path, bearer, parameters, largest
        if self.answer is None:
            raise SourceUnavailable("no answer")
        return self.answer

    async def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


async def test_answers_are_handed_on_and_kept_without_the_question() -> None:
    """Of the question only the form is kept: no credential, number or value."""
    answer, heard = StoreAnswer(200, "application/json", b"{}"), list[Exchange]()
    client = HeardClient(OtherClient(answer), heard)

    said = await client.get("/games/3/purchases", bearer=SellerKey("a key"), parameters={"user_id": "1994"})

    assert said is answer
    assert heard == [Exchange("/games/{id}/purchases", "seller key", ("user_id",), answer)]


async def test_failures_are_handed_on_and_kept() -> None:
    """A question without an answer is one, too."""
    heard = list[Exchange]()
    client = HeardClient(OtherClient(None), heard)

    with pytest.raises(SourceUnavailable):
        await client.get("/profile", bearer=AppJwt("a JWT"), parameters={})

    assert heard == [Exchange("/profile", "JWT", (), None)]


async def test_closing_closes_the_other() -> None:
    """It has nothing of its own to close."""
    other = OtherClient(None)

    await HeardClient(other, []).close()

    assert other.closed
