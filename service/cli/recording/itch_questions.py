"""The gateway's questions to itch.io, each asked once by the gateway's own code, and its answers kept."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from msgspec import Struct

from service.app import open_upstream
from service.cli.recording.exchange import Exchange, HeardClient
from service.cli.recording.itch_api import ITCH_API
from service.cli.recording.record import Step, StoreRecord, recorded
from service.cli.recording.shape import Shape, shape_of
from service.clock import SystemClock
from service.errors import NoAnswer
from service.itch.source import ItchSource
from service.itch.wire import WireGame
from service.observability.logs import Logging
from service.ownership import (
    AppJwt,
    AssertedUser,
    DownloadKey,
    GameId,
    Identity,
    PlayerId,
    PlayerToken,
    ProofKind,
    Refusal,
    Subject,
    VerifiedEmail,
)
from service.settings import Settings
from service.settings.model import DEFAULT_BASE_URLS
from service.signed_token import unverified_object
from service.stores.client import Client
from service.verification.interfaces import Lane

T = TypeVar("T")

_ALL_BUT_KEYS: Final = frozenset(ProofKind) - {ProofKind.DOWNLOAD_KEY}
"""With keys not counting, purchases are always asked for, too."""

_LARGEST_PART: Final = 4096


class StoreQuestions(Struct, frozen=True):
    """The game and the player to ask about; None for those that the seller's key leads to."""

    game_id: GameId | None = None
    user_id: PlayerId | None = None
    credential: DownloadKey | PlayerToken | VerifiedEmail | None = None


async def record_itch(settings: Settings, asked: StoreQuestions, *, log: Logging) -> StoreRecord:
    """Ask itch.io and return the record. Failures are part of it; what they leave no way to ask is among its notes."""
    heard: list[Exchange] = []

    def listen(client: Client) -> Client:
        return HeardClient(client, heard)

    async with open_upstream(settings, log=log, listen=listen) as store:
        questions = _Questions(store.source, heard)
        await questions.ask_all(settings, asked)
        dialect = store.address.dialect
        return StoreRecord(
            store="itch.io",
            api=dialect.value,
            usual_address=store.address.base_url == DEFAULT_BASE_URLS[settings.itch.dialect],
            sandbox=store.is_sandbox(),
            credential=_shape_of_credential(asked.credential),
            answers=recorded(questions.steps, ITCH_API[dialect], SystemClock().now()),
            notes=questions.notes,
        )


class _Questions:
    """The questions, in the order in which one leads to the next."""

    def __init__(self, source: ItchSource, heard: Sequence[Exchange]) -> None:
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self._source = source
        self._heard = heard

    async def ask_all(self, settings: Settings, asked: StoreQuestions) -> None:
        """Ask each question once, as the gateway does."""
        source = self._source
        seller = await self._ask("the seller's account", source.identify_seller)
        await self._ask("the seller's scopes", source.scopes)
        games = await self._ask("the seller's games", source.games)
        game_id = asked.game_id or _first_game(settings, games or ())
        if game_id is None:
            self.notes.append("nothing is asked about players: there is no game to ask about; name one by --game")
            return
        subject, owns = await self._player(asked, game_id, seller)
        if subject is None:
            self.notes.append("keys and purchases are not asked for: there is no player to ask about")
        else:
            await self._look_up(game_id, subject, owns=owns)
        if asked.user_id is not None and not isinstance(subject, AssertedUser):
            await self._look_up(game_id, AssertedUser(asked.user_id), owns=None)
        await self._latest(settings, game_id)

    async def _player(
        self, asked: StoreQuestions, game_id: GameId, seller: Identity | None
    ) -> tuple[Subject | None, bool | None]:
        """Return the one to ask about, and whether an access token has told that this player owns the game."""
        credential = asked.credential
        if isinstance(credential, DownloadKey | VerifiedEmail):
            return credential, None
        identity = seller
        if credential is not None:
            told = await self._ask("the player", partial(self._source.identify, credential, game_id, lane=Lane()))
            if isinstance(told, Refusal):
                self.notes.append(f"itch.io refuses what standard input held: {told.reason}")
            identity = told if isinstance(told, Identity) else None
        if asked.user_id is not None:
            return AssertedUser(asked.user_id), None
        return (None, None) if identity is None else (AssertedUser(identity.player.id), identity.owns)

    async def _look_up(self, game_id: GameId, subject: Subject, *, owns: bool | None) -> None:
        look_up = partial(self._source.look_up, game_id, subject, accept=_ALL_BUT_KEYS, lane=Lane())
        evidence = await self._ask("keys and purchases", look_up)
        if evidence is not None and owns is not None and owns is not bool(evidence.proofs):
            told = "owns the game" if owns else "does not own the game"
            self.notes.append(f"by /ownership the player {told}, by keys and purchases it is the other way round")

    async def _latest(self, settings: Settings, game_id: GameId) -> None:
        channels = [sorted(game.channels) for game in settings.games if game.id == game_id and game.channels]
        if channels:
            await self._ask("the newest version", partial(self._source.latest, game_id, channels[0][0], lane=Lane()))

    async def _ask(self, about: str, question: Callable[[], Awaitable[T]]) -> T | None:
        before = len(self._heard)
        no_answer: NoAnswer | None = None
        try:
            return await question()
        except NoAnswer as error:
            no_answer = error
            return None
        finally:
            exchanges = tuple(self._heard[before:])
            self.steps.append(Step(exchanges, no_answer))
            if not exchanges and no_answer is not None:
                self.notes.append(f"{about}: not asked: {no_answer.detail or no_answer.reason.value}")


def _first_game(settings: Settings, games: Sequence[WireGame]) -> GameId | None:
    """Return a configured game that the key sees, else any that it sees."""
    visible = [game.id for game in games]
    configured = [game.id for game in settings.games if game.id in visible]
    return next(iter(configured or visible), None)


def _shape_of_credential(credential: DownloadKey | PlayerToken | VerifiedEmail | None) -> "Shape | None":
    """Return the form of what standard input held; of a JWT also its parts, which itch.io does not document."""
    if credential is None:
        return None
    shape: dict[str, Shape | int | list[Shape]] = {credential.method.value: shape_of(credential.reveal())}
    if isinstance(credential, AppJwt):
        header, claims, _ = credential.reveal().split(".")
        shape["header"] = shape_of(unverified_object(header, largest=_LARGEST_PART))
        shape["claims"] = shape_of(unverified_object(claims, largest=_LARGEST_PART))
    return shape
