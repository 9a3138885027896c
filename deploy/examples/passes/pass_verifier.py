"""Check passes of the ownership gateway without asking it. Python 3.11 or later, and `pip install "pyjwt[crypto]"`."""  # noqa: INP001 - a file to copy

import base64
import json
import re
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jwt
from jwt.algorithms import RSAAlgorithm

HEADER = {"alg": "RS256", "typ": "ownership-pass+jwt"}
FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
SUBJECT = re.compile(r"itch:[1-9][0-9]{0,15}|(key|email):[A-Za-z0-9_-]{12}", re.ASCII)
LETS_IN = {
    "owned": {"download_key", "purchase", "bundle_purchase", "web_purchase"},
    "granted": {"seller_account", "operator_grant", "press"},
}
ALWAYS = {"iss", "aud", "sub", "iat", "exp", "jti", "game", "outcome", "reason", "method", "handles"}
SOMETIMES = {"observed_at", "fresh_until", "usable_until", "evidence", "player_ref"}
LONGEST_PASS = 2048
SMALLEST_KEY_BITS = 2048
AHEAD_SECONDS = 60
LIST_EVERY_SECONDS = 30
KEYS_EVERY_SECONDS = 300
KEYS_AGAIN_SECONDS = 60
PATIENCE_SECONDS = 5
LONGEST_ANSWER_BYTES = 8 * 1024 * 1024


class Verdict(NamedTuple):
    """What to do with the player: "in", "out", or "later" where there never was a key; why; the claims of who is in."""

    what: str
    reason: str
    claims: Mapping[str, Any] = {}


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """The gateway never redirects."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""


def fetch_over_http(url: str) -> bytes:
    """Return what is there. Raises OSError or http.client.HTTPException."""
    opener = urllib.request.build_opener(NoRedirects, urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=PATIENCE_SECONDS) as response:
        return response.read(LONGEST_ANSWER_BYTES)


class PassVerifier:
    """Checks passes with the keys and the list that were fetched last, however long ago: passes are short.

    `issuer` is the gateway's `passes.issuer`, `audience` is `game:3/server-42` for passes for this server alone, or
    `game:3`. Have `refresh` called every few seconds, in a thread of its own. `now` returns seconds since 1970.
    """

    def __init__(
        self,
        gateway: str,
        *,
        issuer: str,
        audience: str,
        now: Callable[[], float] = time.time,
        fetch: Callable[[str], bytes] = fetch_over_http,
    ) -> None:
        self.gateway = gateway.rstrip("/")
        self.issuer = issuer
        self.audience = audience
        self.game = int(audience.removeprefix("game:").partition("/")[0])
        self.now = now
        self.fetch = fetch
        self.keys: dict[str, Any] = {}
        self.void_before: dict[str, float] = {}
        self.keys_asked_at = self.list_asked_at = float("-inf")
        self.missed_key = False

    def admit(self, text: str, player_ref: str | None = None) -> Verdict:
        """Check a pass; if its key is not known, have the keys fetched, at most once a minute, and check it again."""
        verdict = self.check(text, player_ref)
        if verdict.reason not in {"unknown_key", "no_keys"}:
            return verdict
        self.refresh()
        return self.check(text, player_ref)

    def check(self, text: str, player_ref: str | None = None) -> Verdict:
        """Check a pass with what is here. `player_ref` is who is there, by the name that the lobby gave."""
        kid = kid_of(text)
        if kid is None:
            return Verdict("out", "malformed_pass")
        if not self.keys:
            return Verdict("later", "no_keys")
        if kid not in self.keys:
            self.missed_key = True
            return Verdict("out", "unknown_key")
        try:
            # Claims are compared below, by the clock that was given.
            off = dict.fromkeys(("verify_aud", "verify_exp", "verify_iat", "verify_nbf"), False)
            claims = jwt.decode(text, self.keys[kid], algorithms=["RS256"], options=off)
        except jwt.InvalidTokenError:
            return Verdict("out", "wrong_signature")
        reason = self.fault_in(claims, player_ref)
        return Verdict("out", reason) if reason else Verdict("in", "pass", claims)

    def fault_in(self, claims: Mapping[str, Any], player_ref: str | None) -> str:
        """Return why claims that the gateway has signed let nobody in here; empty if they do."""
        ours = {"issuer": ("iss", self.issuer), "audience": ("aud", self.audience), "game": ("game", self.game)}
        for what, (claim, our) in ours.items():
            # Types too: True is equal to 1.
            if type(claims.get(claim)) is not type(our) or claims[claim] != our:
                return f"other_{what}"
        if not is_pass(claims):
            return "no_pass"
        if claims["exp"] <= self.now():
            return "expired_pass"
        if claims["iat"] > self.now() + AHEAD_SECONDS:
            return "pass_of_the_future"
        if "player_ref" in claims and claims["player_ref"] != player_ref:
            return "other_player"
        return "void_pass" if self.is_void(claims) else ""

    def is_void(self, claims: Mapping[str, Any]) -> bool:
        """Whether a pass is in the list: ask again, after `refresh`, about those who are in."""
        decided_at = claims.get("observed_at", claims["iat"])
        return any(self.void_before.get(handle, decided_at) > decided_at for handle in claims["handles"])

    def refresh(self) -> list[str]:
        """Fetch what is due; return what could not be fetched, for the log. What was fetched before then stays."""
        failed = []
        keys_after = KEYS_AGAIN_SECONDS if self.missed_key or not self.keys else KEYS_EVERY_SECONDS
        # By the distance, so that a clock that is set back does not stop it.
        if abs(self.now() - self.keys_asked_at) >= keys_after:
            self.keys_asked_at, self.missed_key = self.now(), False
            failed += self.fetch_into(self.take_keys, "/.well-known/jwks.json")
        if abs(self.now() - self.list_asked_at) >= LIST_EVERY_SECONDS:
            self.list_asked_at = self.now()
            failed += self.fetch_into(self.take_list, "/passes/invalidated")
        return failed

    def fetch_into(self, take: Callable[[bytes], None], path: str) -> list[str]:
        """Fetch one of the two, and return its path if that failed."""
        try:
            take(self.fetch(self.gateway + path))
        except Exception as failure:  # noqa: BLE001 - whichever it is, what is here stays
            return [f"{path}: {failure}"]
        return []

    def take_keys(self, text: bytes) -> None:
        """Put these keys in the place of those before; raises if there is none."""
        found = json.loads(text)["keys"]
        usable = [one for one in found if one["kty"] == "RSA" and one["alg"] == "RS256"]
        keys = {one["kid"]: RSAAlgorithm.from_jwk({name: one[name] for name in ("kty", "n", "e")}) for one in usable}
        if not keys or any(key.key_size < SMALLEST_KEY_BITS for key in keys.values()):
            raise ValueError("there are no keys in it, or short ones")
        self.keys = keys

    def take_list(self, text: bytes) -> None:
        """Put this list in the place of the one before; raises if it is none."""
        self.void_before = {handle: float(at) for handle, at in json.loads(text)["before"].items()}


def kid_of(text: str) -> str | None:
    """Return the name of the key of what has the form and the header of a pass; None for all else."""
    parts = FORM.fullmatch(text) if len(text) <= LONGEST_PASS else None
    if parts is None or not all(map(is_canonical, parts.groups())):
        return None
    try:
        header = jwt.get_unverified_header(text)
    except jwt.InvalidTokenError:
        return None
    kid = header.pop("kid", None)
    return kid if header == HEADER and isinstance(kid, str) else None


def is_pass(claims: Mapping[str, Any]) -> bool:
    """Whether there are the claims of a pass, and no others: the same key might sign another kind of token one day."""
    handles = claims.get("handles")
    return (
        claims.keys() >= ALWAYS
        and claims.keys() <= ALWAYS | SOMETIMES
        and SUBJECT.fullmatch(str(claims["sub"])) is not None
        and is_whole(claims["iat"])
        and is_whole(claims["exp"])
        and isinstance(claims.get("observed_at", 0.0), int | float)
        and str(claims["reason"]) in LETS_IN.get(str(claims["outcome"]), ())
        and isinstance(handles, list)
        and len(handles) > 0
        and all(isinstance(handle, str) for handle in handles)
    )


def is_whole(value: object) -> bool:
    """Whether it is a whole number; true is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_canonical(part: str) -> bool:
    """Whether it is base64url in its one spelling: others decode to the same bytes."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return False
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == part
