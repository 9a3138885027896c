"""Names for questions and credentials, and the keys behind them.

A name is a keyed hash over every input that can change the answer. Each input has its length before it, so that no two
questions run together into the same bytes.
"""

import secrets
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from service.ownership import (
    AccessToken,
    AppJwt,
    AssertedUser,
    Credential,
    DownloadKey,
    Fingerprint,
    GameId,
    Method,
    PlayerId,
    PlayerToken,
    ProofKind,
    Subject,
    VerifiedEmail,
)
from service.redis.acl import PREFIX
from service.secret import SealingSecret, Secret

SCHEMA_VERSION: Final = 2
"""The version of what is stored, in every name and, by `PREFIX`, in every key name in Redis: a new one starts empty."""

_KEY_BYTES: Final = 32
_NAME_BYTES: Final = 16
_LOG_NAME_BYTES: Final = 8
_LENGTH_BYTES: Final = 4
_ID_BYTES: Final = 8

_GAMES: Final = 1024
"""The most games for which the hash of the beginning that all their names have is cached."""


_ACCOUNTS: Final = 4096
"""The most accounts whose names for the log are cached: players ask more than once, and an answer must stay cheap."""


class NamingKey(Secret):
    """The key of the hash that names questions and credentials, in hexadecimal."""


class SealingKey(Secret):
    """The key that seals what is stored in Redis, in hexadecimal."""


class TableKey(Secret):
    """The key that seals the entries of the replicated table, in hexadecimal."""


class LeasesKey(Secret):
    """The key that seals the leases of look-ups, in hexadecimal."""


class OverridesKey(Secret):
    """The key that seals what operators said about single players, in hexadecimal."""


class RefusalsKey(Secret):
    """The key that seals remembered refusals, in hexadecimal."""


class ComparingKey(Secret):
    """The key of the digests by which replicas compare their secrets, in hexadecimal."""


class HandlesKey(Secret):
    """The key of the hash by which passes name what they are revoked by, in hexadecimal."""


class PlayersKey(Secret):
    """The key of the hashes by which players who have shown a download key are counted, in hexadecimal."""


class ProofsKey(Secret):
    """The key that seals challenges and proofs of addresses, in hexadecimal."""


class Keys(Struct, frozen=True):
    """One key a purpose, so that leaking the one gives nothing of the other."""

    naming: NamingKey
    sealing: SealingKey
    table: TableKey
    leases: LeasesKey
    overrides: OverridesKey
    comparing: ComparingKey
    refusals: RefusalsKey
    handles: HandlesKey
    players: PlayersKey
    proofs: ProofsKey


def derive_keys(secret: SealingSecret | None) -> Keys:
    """Return the keys that belong to the operator's secret, or to this process alone when there is none.

    Gateways with the same secret share what they remember; without one, nothing can be shared.
    """
    text = secret.reveal().encode() if secret is not None else secrets.token_bytes(_KEY_BYTES)
    # The secret may be longer than the 64 bytes that blake2b takes for a key.
    root = blake2b(text, person=b"og root").digest()
    return Keys(
        naming=NamingKey(_derive(root, b"og naming")),
        sealing=SealingKey(_derive(root, b"og sealing")),
        table=TableKey(_derive(root, b"og table")),
        leases=LeasesKey(_derive(root, b"og claims")),
        overrides=OverridesKey(_derive(root, b"og overrides")),
        comparing=ComparingKey(_derive(root, b"og comparing")),
        refusals=RefusalsKey(_derive(root, b"og refusals")),
        handles=HandlesKey(_derive(root, b"og handles")),
        players=PlayersKey(_derive(root, b"og players")),
        proofs=ProofsKey(_derive(root, b"og proofs")),
    )


def _derive(root: bytes, purpose: bytes) -> str:
    return blake2b(key=root, person=purpose, digest_size=_KEY_BYTES).hexdigest()


def redis_key(name: Fingerprint) -> str:
    """Return the key under which Redis has the observation of that name."""
    return f"{PREFIX}e:{name.hex()}"


def lease_key(name: Fingerprint) -> str:
    """Return the key under which a replica leases the look-up of that name."""
    return f"{PREFIX}l:{name.hex()}"


def table_key(naming_key: NamingKey, environment: str) -> str:
    """Return the key of the table that all replicas in front of the same store have in common."""
    return f"{PREFIX}t:{_name_of_environment(naming_key, environment, b'og replicated')}"


def rechecks_key(naming_key: NamingKey, environment: str, game_id: GameId) -> str:
    """Return the key of the last answers about proven owners of a game, in front of the same store."""
    return f"{PREFIX}r:{_name_of_environment(naming_key, f'{environment} {game_id}', b'og rechecks')}"


def note_key(name: Fingerprint) -> str:
    """Return the key under which Redis has who set the override of that name, and why."""
    return f"{PREFIX}o:{name.hex()}"


def players_key(name: Fingerprint) -> str:
    """Return the key under which Redis has who has shown the download key of that question."""
    return f"{PREFIX}p:{name.hex()}"


def tries_key(name: Fingerprint) -> str:
    """Return the key under which Redis has the tries at the code of a challenge."""
    return f"{PREFIX}h:{name.hex()}"


def mails_key(name: Fingerprint) -> str:
    """Return the key under which Redis has when mails were sent to an address, or for a player of a caller."""
    return f"{PREFIX}m:{name.hex()}"


def refusal_key(name: Fingerprint) -> str:
    """Return the key under which Redis has a refusal, or the names of a player's last ones.

    The part in braces puts all of them on one node of a Redis Cluster, so that one script may write several.
    """
    return f"{PREFIX}{{x}}:{name.hex()}"


def secrets_key() -> str:
    """Return the key of the digests by which replicas compare their secrets, the same for all that may differ."""
    return f"{PREFIX}s"


def budget_key(naming_key: NamingKey, environment: str) -> str:
    """Return the key of the store budget that all replicas in front of the same store share."""
    return f"{PREFIX}b:{_name_of_environment(naming_key, environment, b'og budget')}"


def canaries_key(naming_key: NamingKey, environment: str) -> str:
    """Return the key of the turns in which all replicas in front of the same store ask about canaries."""
    return f"{PREFIX}c:{_name_of_environment(naming_key, environment, b'og canaries')}"


def _name_of_environment(naming_key: NamingKey, environment: str, purpose: bytes) -> str:
    key = bytes.fromhex(naming_key.reveal())
    return blake2b(environment.encode(), key=key, person=purpose, digest_size=_NAME_BYTES).hexdigest()


def encode_fields(fields: Sequence[bytes]) -> bytes:
    """Return the fields as one string of bytes; each has its length before it, so that no two lists give the same."""
    return b"".join([len(field).to_bytes(_LENGTH_BYTES, "big") + field for field in fields])


class KeyedFingerprints:
    """Names that cannot be made, or turned back, without the naming key.

    `environment` says which store the answers come from: its base URL, its dialect, and whether it is the sandbox. It
    is part of every question's name, so that no answer of the sandbox can be taken for one of the real store.
    """

    def __init__(self, naming_key: NamingKey, environment: str) -> None:
        key = bytes.fromhex(naming_key.reveal())
        # What all names have in common is hashed once; each name goes on from a copy.
        self._questions = blake2b(key=key, person=b"og question", digest_size=_NAME_BYTES)
        self._questions.update(encode_fields((SCHEMA_VERSION.to_bytes(1, "big"), environment.encode())))
        self._overrides = blake2b(key=key, person=b"og override", digest_size=_NAME_BYTES)
        self._overrides.update(encode_fields((SCHEMA_VERSION.to_bytes(1, "big"), environment.encode())))
        self._credentials = blake2b(key=key, person=b"og credential", digest_size=_LOG_NAME_BYTES)
        self._refusals = blake2b(key=key, person=b"og refusal", digest_size=_NAME_BYTES)
        self._refusals.update(encode_fields((SCHEMA_VERSION.to_bytes(1, "big"), environment.encode())))
        self.of_account: Final = lru_cache(maxsize=_ACCOUNTS)(self._name_account)
        """Name an itch.io account for the log, as a credential that is its id is named."""
        self._about_ownership = lru_cache(maxsize=_GAMES)(self._hash_ownership)

    def of_question(self, game_id: GameId, subject: Subject, accept: Iterable[ProofKind]) -> Fingerprint:
        """Name a question about ownership by every input that can change it; the order of `accept` does not matter."""
        hashed = self._about_ownership(game_id, frozenset(accept)).copy()
        hashed.update(_encode_credential(subject))
        return Fingerprint(hashed.digest())

    def of_inquiry(self, game_id: GameId, credential: Credential, others: Collection[str]) -> Fingerprint:
        """Name what a relay asks its hub, by every field that can change the answer."""
        hashed = self._questions.copy()
        hashed.update(_INQUIRY + encode_fields((game_id.to_bytes(_ID_BYTES, "big"),)) + _encode_credential(credential))
        hashed.update(encode_fields([other.encode() for other in others]))
        return Fingerprint(hashed.digest())

    def of_token(self, token: PlayerToken, game_id: GameId) -> Fingerprint:
        """Name the question whose a token is; an access token is shown for one game, and good for it."""
        hashed = self._questions.copy()
        hashed.update(_IDENTITY + _encode_credential(token))
        if isinstance(token, AccessToken):
            hashed.update(encode_fields((game_id.to_bytes(_ID_BYTES, "big"),)))
        return Fingerprint(hashed.digest())

    def of_override(self, game_id: GameId, subject: Subject) -> Fingerprint:
        """Name the operator's word about a subject and a game; upper and lower case of an address are the same."""
        if isinstance(subject, VerifiedEmail):
            subject = VerifiedEmail(subject.mailbox.reveal())
        hashed = self._overrides.copy()
        hashed.update(encode_fields((game_id.to_bytes(_ID_BYTES, "big"),)) + _encode_credential(subject))
        return Fingerprint(hashed.digest())

    def of_credential(self, credential: Credential) -> str:
        """Name a credential for the log, the same for every game, as 16 hexadecimal digits.

        Upper and lower case of an address are the same.
        """
        if isinstance(credential, VerifiedEmail):
            credential = VerifiedEmail(credential.mailbox.reveal())
        hashed = self._credentials.copy()
        hashed.update(_encode_credential(credential))
        return hashed.hexdigest()

    def of_decision(self, decision_id: str) -> Fingerprint:
        """Name a decision by its id."""
        return self._name_refusal(b"decision", decision_id.encode())

    def of_refused(self, game_id: GameId, log_name: str) -> Fingerprint:
        """Name the refusals of a player and a game; `log_name` is the credential's, or the account's, in the log."""
        return self._name_refusal(b"refused", game_id.to_bytes(_ID_BYTES, "big"), log_name.encode())

    def _name_refusal(self, *fields: bytes) -> Fingerprint:
        hashed = self._refusals.copy()
        hashed.update(encode_fields(fields))
        return Fingerprint(hashed.digest())

    def _name_account(self, player_id: PlayerId) -> str:
        return self.of_credential(AssertedUser(player_id))

    def _hash_ownership(self, game_id: GameId, accept: frozenset[ProofKind]) -> blake2b:
        hashed = self._questions.copy()
        hashed.update(encode_fields(_rule_fields(game_id, accept)))
        return hashed


def _rule_fields(game_id: GameId, accept: frozenset[ProofKind]) -> tuple[bytes, ...]:
    kinds = encode_fields([kind.encode() for kind in sorted(accept)])
    return (b"ownership", game_id.to_bytes(_ID_BYTES, "big"), kinds)


_IDENTITY: Final = encode_fields((b"identity",))
_INQUIRY: Final = encode_fields((b"inquiry",))
_METHODS: Final = {
    kind: encode_fields((kind.method.encode(),)) for kind in (DownloadKey, AppJwt, AccessToken, VerifiedEmail)
}
_USER: Final = encode_fields((Method.USER.encode(),))


def _encode_credential(credential: Credential) -> bytes:
    """Return two fields, the method and the credential, as `encode_fields` would; the first is encoded already."""
    if isinstance(credential, AssertedUser):
        return _USER + encode_fields((credential.player_id.to_bytes(_ID_BYTES, "big"),))
    # Lone surrogates cannot come from JSON, but a name must not fail on any text.
    text = credential.reveal().encode("utf-8", "surrogatepass")
    return _METHODS[type(credential)] + len(text).to_bytes(_LENGTH_BYTES, "big") + text
