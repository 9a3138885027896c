"""A question to a store with its answer, as the client that asked it heard them."""

import re
from collections.abc import Mapping

from msgspec import Struct

from service.ownership import AccessToken, AppJwt
from service.secret import Secret, SellerKey
from service.stores.answer import LARGEST_BODY, StoreAnswer
from service.stores.client import Client


class Exchange(Struct, frozen=True):
    """A question without its values, and its answer as it came; None where there was none.

    `path` has `{id}` in the place of numbers, `parameters` are names alone.
    """

    path: str
    credential: str
    parameters: tuple[str, ...]
    answer: StoreAnswer | None

    @property
    def endpoint(self) -> str:
        """The last part of the path, by which the answer's fields are known."""
        return self.path.rpartition("/")[2]


class HeardClient:
    """A client that keeps what another one asks and is answered, and changes nothing of it."""

    def __init__(self, client: Client, heard: list[Exchange]) -> None:
        self._client = client
        self._heard = heard

    async def get(
        self, path: str, *, bearer: Secret | None, parameters: Mapping[str, str], largest: int = LARGEST_BODY
    ) -> StoreAnswer:
        """Ask the other client."""
        answer: StoreAnswer | None = None
        try:
            answer = await self._client.get(path, bearer=bearer, parameters=parameters, largest=largest)
        finally:
            place = re.sub("[0-9]+", "{id}", path)
            self._heard.append(Exchange(place, _named(bearer), tuple(parameters), answer))
        return answer

    async def close(self) -> None:
        """Close the other client."""
        await self._client.close()


def _named(bearer: Secret | None) -> str:
    match bearer:
        case None:
            return "nothing"
        case SellerKey():
            return "seller key"
        case AppJwt():
            return "JWT"
        case AccessToken():
            return "access token"
        case _:
            raise AssertionError("a credential that the store never sees")
