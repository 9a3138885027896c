"""Values that live outside of the process, one of each format, as this version writes them.

`python -m tests.cache.stored_formats X.Y.Z` writes `stored/X.Y.Z.json`, once, when that version is released. From then
on the file stays as it is, and later versions must read it: formats only grow.
"""

import json
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from service.cache.bound_cipher import BoundCipher
from service.cache.entry import CacheEntry
from service.cache.keys import (
    budget_key,
    canaries_key,
    lease_key,
    mails_key,
    note_key,
    players_key,
    rechecks_key,
    redis_key,
    refusal_key,
    secrets_key,
    table_key,
    tries_key,
)
from service.cache.lease_tokens import LeaseTokens
from service.cache.override_notes import OverrideNote
from service.cache.override_notes import _bound_to as note_place
from service.cache.refusal_memory import RememberedRefusal
from service.cache.sealing import Sealer
from service.cache.shared_overrides import StandingOverride
from service.cache.shared_refusals import _bound_to as refusal_place
from service.cache.table_entry import TableEntry, TableKind, TableSealer, instant_value
from service.causes import Cause
from service.ownership import (
    AppJwt,
    AssertedUser,
    CacheTier,
    Caveat,
    DownloadKey,
    Evidence,
    Identity,
    Method,
    Observation,
    OverrideWord,
    Overruled,
    Player,
    PlayerId,
    ProofKind,
    Reason,
    Refusal,
    VerifiedEmail,
)
from service.proofs.sealed_texts import MailedCode, SealedTexts
from tests.cache.samples import DAY, GAME, KEYS, NAME, SECOND, fingerprints, no, yes
from tests.clock import START, FakeClock

FOLDER: Final = Path(__file__).parent / "stored"
ENVIRONMENT: Final = "https://api.itch.io current"
CODE: Final = MailedCode("29747754")

OBSERVATIONS: Final[Mapping[str, Observation]] = {
    "owned": yes(),
    "not owned": no(),
    "owned, overruled by a no": Evidence(START, overruled=Overruled(yes(), START - SECOND, held=True)),
    "whose a JWT is": Identity(
        START, Player(PlayerId(1994), "amos", "Amos"), press=True, expires_at=START + DAY, only_game=GAME
    ),
    "whose an access token is": Identity(START, Player(PlayerId(1994)), owns=True, sandbox=True),
    "a refused JWT": Refusal(START, Reason.REFUSED_JWT),
}

ENTRIES: Final = {
    kind.name.lower(): TableEntry(kind, GAME, NAME, 1_795_000_000_000_000, START + DAY, value)
    for kind, value in {
        TableKind.INVALIDATED: b"",
        TableKind.OVERRULED: instant_value(START),
        TableKind.REVOCATIONS: instant_value(START),
        TableKind.OVERRIDE: b"\x01",
    }.items()
}

OVERRIDE: Final = StandingOverride(
    name=NAME,
    game_id=GAME,
    method=Method.USER,
    player_id=PlayerId(1994),
    subject="0011223344556677",
    word=OverrideWord.GRANT,
    at=START,
    until=START + DAY,
)

NOTE: Final = OverrideNote("support", "bought twice")

REFUSAL: Final = RememberedRefusal(
    ids=("01M7Y5ND2JBT5AEVTRV7N33BJ6", "01M7Y5ND2JBT5AEVTRV7N33BJ7"),
    at=START,
    last_at=START + SECOND,
    count=2,
    caller="lobby",
    game_id=GAME,
    method=Method.DOWNLOAD_KEY,
    reason=Reason.INVALID_DOWNLOAD_KEY,
    subject="0011223344556677",
    account="7766554433221100",
    player_id=PlayerId(1994),
    cache=CacheTier.REDIS,
    observed_at=START,
    fresh_until=START + DAY,
    usable_until=START + DAY,
    stale=True,
    caveats=(Caveat.SANDBOX,),
    cause=Cause.REFUSED,
)

NAMES: Final = {
    "question": fingerprints().of_question(GAME, VerifiedEmail("Bea@example.com"), [ProofKind.PURCHASE]).hex(),
    "token": fingerprints().of_token(AppJwt("a.b.c"), GAME).hex(),
    "override": fingerprints().of_override(GAME, AssertedUser(PlayerId(1994))).hex(),
    "credential": fingerprints().of_credential(DownloadKey("YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z")),
    "decision": fingerprints().of_decision(REFUSAL.ids[0]).hex(),
    "refused": fingerprints().of_refused(GAME, REFUSAL.subject).hex(),
}

KEY_NAMES: Final = {
    "observation": redis_key(NAME),
    "lease": lease_key(NAME),
    "table": table_key(KEYS.naming, ENVIRONMENT),
    "rechecks": rechecks_key(KEYS.naming, ENVIRONMENT, GAME),
    "note": note_key(NAME),
    "players": players_key(NAME),
    "tries": tries_key(NAME),
    "mails": mails_key(NAME),
    "refusal": refusal_key(NAME),
    "secrets": secrets_key(),
    "budget": budget_key(KEYS.naming, ENVIRONMENT),
    "canaries": canaries_key(KEYS.naming, ENVIRONMENT),
}


def lease_tokens() -> LeaseTokens:
    """Return what makes and recognises tokens at the time of the stored values."""
    return LeaseTokens(KEYS.leases, clock=FakeClock(), longest=timedelta(seconds=10))


def texts() -> SealedTexts:
    """Return what seals and opens challenges and proofs."""
    return SealedTexts(KEYS.proofs, ENVIRONMENT)


def stored() -> dict[str, Any]:
    """Return one value of each format, sealed with the secret of these tests; bytes in hexadecimal."""
    challenge = texts().challenge(
        VerifiedEmail("bea@example.com"), CODE, game_id=GAME, caller="lobby", ends_at=START + DAY
    )
    opened = texts().open_challenge(challenge)
    assert opened is not None
    return {
        "names": NAMES,
        "key names": KEY_NAMES,
        "observations": {
            title: Sealer(KEYS.sealing).seal(NAME, CacheEntry(observation, START + DAY)).hex()
            for title, observation in OBSERVATIONS.items()
        },
        "table": {title: TableSealer(KEYS.table).seal(entry).hex() for title, entry in ENTRIES.items()},
        "lease": lease_tokens().make(NAME),
        "note": BoundCipher(KEYS.overrides).seal(msgspec.msgpack.encode(NOTE), note_place(OVERRIDE)).hex(),
        "refusal": BoundCipher(KEYS.refusals)
        .seal(msgspec.msgpack.encode(REFUSAL), refusal_place(KEY_NAMES["refusal"]))
        .hex(),
        "challenge": challenge,
        "proof": texts().proof(opened, ends_at=START + DAY),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{sys.argv[1]}.json").open("x") as file:
        file.write(json.dumps(stored(), indent=2) + "\n")
