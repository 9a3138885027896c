"""itch.io as the source of evidence: which requests answer a question, and what their answers prove.

A subject's keys are asked for first, then, where keys alone cannot prove absence, its purchases:
buyers of large bundles have no key until they first open the game, and keys asked for by e-mail miss claimed ones.
An answer counts only if it is about what was asked: this game, this key, this player.
"""

import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, assert_never

from service.errors import SourceProtocolError
from service.itch.classification import JsonObject, No, UnknownWordsError
from service.itch.dialect import Endpoint
from service.itch.requests import StoreRequests
from service.itch.unverified_jwt import UnverifiedClaims, peek
from service.itch.uploads import WireUpload, read_uploads
from service.itch.wire import (
    WireGame,
    WireKey,
    read_download_key,
    read_games,
    read_latest,
    read_owns,
    read_purchases,
    read_user,
)
from service.ownership import (
    AccessToken,
    AppJwt,
    AssertedUser,
    DownloadKey,
    Evidence,
    GameId,
    Identity,
    PlayerId,
    PlayerToken,
    Proof,
    ProofKind,
    Reason,
    Refusal,
    Subject,
    VerifiedEmail,
)
from service.verification.interfaces import Clock, Lane

_OWN_LANE: Final = Lane()
_PURCHASE_KINDS: Final = frozenset({ProofKind.PURCHASE, ProofKind.BUNDLE_PURCHASE, ProofKind.WEB_PURCHASE})


class ItchSource:
    """Implements `OwnershipSource`; each look-up takes at most `timeout` in all, however many requests it needs.

    By `clock` observations are dated, by `local_clock` JWTs expire.
    """

    def __init__(self, *, requests: StoreRequests, clock: Clock, local_clock: Clock, timeout: timedelta) -> None:
        self._requests = requests
        self._clock = clock
        self._local_clock = local_clock
        self._timeout = timeout
        self._seller: PlayerId | None = None
        self._key_changes = 0

    @property
    def sandbox_seen(self) -> bool:
        """Whether the store is a sandbox, by its answers so far."""
        return self._requests.sandbox_seen

    @property
    def clock_skew(self) -> timedelta | None:
        """The lead of the store's clock over ours, in whole seconds; None until an answer has had a date."""
        return self._requests.clock_skew

    async def look_up(self, game_id: GameId, subject: Subject, *, accept: frozenset[ProofKind], lane: Lane) -> Evidence:
        """Return the store's evidence about the subject and the game; empty evidence is a no."""
        observed_at, give_up_at = self._clock.now(), self._give_up_at()
        key = await self._key(game_id, subject, lane, give_up_at)
        proofs: tuple[Proof, ...] = () if key is None else (key.proof,)
        if _needs_purchases(subject, proofs, accept):
            proofs += await self._purchases(game_id, subject, lane, give_up_at)
        owner = None if key is None else key.owner
        return Evidence(observed_at, proofs, owner, sandbox=self._requests.sandbox_seen)

    async def identify(self, token: PlayerToken, game_id: GameId, *, lane: Lane) -> Identity | Refusal:
        """Return the owner of the token, or that the store refuses it; an access token is good for this game alone."""
        if isinstance(token, AccessToken):
            return await self._identify_for(token, game_id, lane)
        return await self._identify_jwt(token, lane)

    async def _identify_for(self, token: AccessToken, game_id: GameId, lane: Lane) -> Identity | Refusal:
        """Return the owner of an access token, whose application must be one of the game's creator.

        itch.io tells others' applications nothing about the game, so that it is asked about that first: a token that
        another site has collected opens nothing.
        """
        observed_at, give_up_at = self._clock.now(), self._give_up_at()
        said = await self._requests.as_player(token, Endpoint.OWNERSHIP, game_id, lane=lane, give_up_at=give_up_at)
        sandbox = self._requests.sandbox_seen
        refused = Refusal(observed_at, Reason.REFUSED_ACCESS_TOKEN, sandbox)
        if isinstance(said, No):
            return refused
        owns = read_owns(said)
        body = await self._requests.as_player(token, Endpoint.PROFILE, lane=lane, give_up_at=give_up_at, begun=True)
        if isinstance(body, No):
            return refused
        user = read_user(body.get("user"))
        return Identity(observed_at, user.player, user.press, only_game=game_id, sandbox=sandbox, owns=owns)

    async def _identify_jwt(self, jwt: AppJwt, lane: Lane) -> Identity | Refusal:
        """Return the owner of the JWT; its own claims, once the store has accepted it, can only restrict that."""
        observed_at = self._clock.now()
        try:
            body = await self._requests.as_player(jwt, Endpoint.PROFILE, lane=lane, give_up_at=self._give_up_at())
        except UnknownWordsError:
            if not self._is_over(peek(jwt)):
                raise
            # The words for an expired JWT are not documented; that it is over and was refused is enough.
            body = No.CREDENTIAL_REFUSED
        claims = peek(jwt)
        sandbox = self._requests.sandbox_seen
        if isinstance(body, No):
            reason = Reason.EXPIRED_JWT if self._is_over(claims) else Reason.REFUSED_JWT
            return Refusal(observed_at, reason, sandbox)
        user = read_user(body.get("user"))
        if self._is_over(claims):
            return Refusal(observed_at, Reason.EXPIRED_JWT, sandbox)
        if claims.unreadable or not claims.user_ids <= {user.player.id}:
            return Refusal(observed_at, Reason.REFUSED_JWT, sandbox)
        only_game = None if claims.game_id is None else GameId(claims.game_id)
        return Identity(observed_at, user.player, user.press, claims.expires_at, only_game, sandbox)

    def _is_over(self, claims: UnverifiedClaims) -> bool:
        """Whether a JWT has expired by both clocks: all replicas take over what comes of it, and one may be wrong."""
        now = min(self._local_clock.now(), self._clock.now())
        return claims.expires_at is not None and claims.expires_at <= now

    async def identify_seller(self, *, lane: Lane = _OWN_LANE) -> Identity:
        """Return the seller's account, which is known without a request from then on.

        An answer to a key that was replaced meanwhile is about another account: then the store is asked again.
        """
        give_up_at = self._give_up_at()
        while True:
            observed_at, changes = self._clock.now(), self._key_changes
            body = await self._seller_body(Endpoint.PROFILE, give_up_at, lane=lane)
            user = read_user(body.get("user"))
            if changes == self._key_changes:
                self._seller = user.player.id
                return Identity(observed_at, user.player, user.press, sandbox=self._requests.sandbox_seen)

    def known_seller_account(self) -> PlayerId | None:
        """Return the seller's account, None until `identify_seller` has been answered."""
        return self._seller

    def forget_seller(self) -> None:
        """Forget the seller's account, also for requests under way: another key may belong to another account."""
        self._seller = None
        self._key_changes += 1

    async def games(self) -> list[WireGame]:
        """Return the games that the seller's key can see."""
        return read_games(await self._seller_body(Endpoint.GAMES, self._give_up_at()))

    async def uploads(self, game_id: GameId) -> list[WireUpload]:
        """Return the files of one of the seller's games."""
        body = await self._requests.as_seller(Endpoint.UPLOADS, game_id, lane=_OWN_LANE, give_up_at=self._give_up_at())
        return read_uploads(_content(body))

    async def scopes(self) -> list[str]:
        """Return the scopes of the seller's key; a key from the account's settings has none listed, and may do all."""
        body = await self._seller_body(Endpoint.CREDENTIALS, self._give_up_at())
        scopes = body.get("scopes")
        return [scope for scope in scopes if isinstance(scope, str)] if isinstance(scopes, list) else []

    async def latest(self, game_id: GameId, channel: str, *, lane: Lane) -> str | None:
        """Return the user version of the newest build of a channel, None if there is none; it needs no credential."""
        parameters = {"game_id": str(game_id), "channel_name": channel}
        body = await self._requests.as_nobody(
            Endpoint.LATEST, parameters=parameters, lane=lane, give_up_at=self._give_up_at()
        )
        return read_latest(_content(body))

    async def _seller_body(self, endpoint: Endpoint, give_up_at: float, *, lane: Lane = _OWN_LANE) -> dict[str, object]:
        return _content(await self._requests.as_seller(endpoint, lane=lane, give_up_at=give_up_at))

    async def _key(self, game_id: GameId, subject: Subject, lane: Lane, give_up_at: float) -> WireKey | None:
        body = await self._requests.as_seller(
            Endpoint.DOWNLOAD_KEYS,
            game_id,
            parameters=_parameters(subject),
            lane=lane,
            give_up_at=give_up_at,
        )
        if isinstance(body, No):
            return None
        key = read_download_key(body)
        if key.game_id != game_id:
            raise SourceProtocolError("the store answered for another game")
        match subject:
            case DownloadKey():
                if not hmac.compare_digest(key.text.encode(), subject.reveal().encode()):
                    raise SourceProtocolError("the store answered for another key")
            case AssertedUser(player_id):
                if key.owner is None or key.owner.id != player_id:
                    raise SourceProtocolError("the store answered for another player")
            case VerifiedEmail():
                pass  # the answer names no address; nothing ties it to ours but that we asked
            case _:
                assert_never(subject)
        return key

    async def _purchases(self, game_id: GameId, subject: Subject, lane: Lane, give_up_at: float) -> tuple[Proof, ...]:
        body = await self._requests.as_seller(
            Endpoint.PURCHASES, game_id, parameters=_parameters(subject), lane=lane, give_up_at=give_up_at, begun=True
        )
        return () if isinstance(body, No) else read_purchases(body, game_id)

    def _give_up_at(self) -> float:
        return self._clock.monotonic() + self._timeout.total_seconds()


def _content(body: JsonObject | No) -> JsonObject:
    if isinstance(body, No):
        raise SourceProtocolError("the store said no to a question that has no no")
    return body


def _parameters(subject: Subject) -> Mapping[str, str]:
    match subject:
        case DownloadKey():
            return {"download_key": subject.reveal()}
        case AssertedUser(player_id):
            return {"user_id": str(player_id)}
        case VerifiedEmail():
            return {"email": subject.reveal()}
        case _:
            assert_never(subject)


def _needs_purchases(subject: Subject, proofs: tuple[Proof, ...], accept: frozenset[ProofKind]) -> bool:
    """Whether purchases could still prove what the keys did not; a download key cannot be asked about there."""
    if isinstance(subject, DownloadKey) or not accept & _PURCHASE_KINDS:
        return False
    return not any(proof.kind in accept for proof in proofs)
