"""The passes of the players: asked for with their questions, checked, and shown again."""

from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Any, Final

import jwt

from service.pass_pem import new_signing_key
from tests.reliability.replicas import Question

ISSUER: Final = "https://gateway.example.com"
LONGEST: Final = 86_400
_SURELY_GOOD: Final = timedelta(minutes=1)


@cache
def _pem() -> str:
    return new_signing_key()


class Wallet:
    """Asks for passes now and then, and keeps those of accounts.

    `told` counts those given as `passed`, and those shown as `shown`.
    """

    def __init__(self, told: dict[str, int]) -> None:
        self._told = told
        self._number = count()
        self._kept: dict[tuple[int, int], tuple[str, datetime]] = {}

    @property
    def toml(self) -> str:
        """The lines of the configuration that turn passes on."""
        return f'\n[passes]\nissuer = "{ISSUER}"\nseconds = {LONGEST}\nkey = """\n{_pem()}"""\n'

    def ask(self, question: Question, now: datetime) -> tuple[str, dict[str, object]]:
        """Return the path and the body to ask a question by."""
        presented, number = question.presented, next(self._number)
        if presented.method == "user" and number % 3 == 0 and presented.account is not None:
            value, expires_at = self._kept.get((presented.game, presented.account), ("", now))
            if expires_at > now + _SURELY_GOOD:
                self._told["shown"] = self._told.get("shown", 0) + 1
                body = {name: value for name, value in question.body.items() if name != presented.field}
                return "/verify/pass", body | {"pass": value}
        if number % 4 == 1:
            return "/passes", question.body | {"method": presented.method}
        return presented.path, question.body

    def check(self, question: Question, path: str, status: int, body: dict[str, Any]) -> None:
        """Check the pass in an answer, and keep it if it is an account's."""
        issued = body.get("pass")
        assert issued is None or path == "/passes", "a pass that was not asked for"
        if issued is None:
            return
        assert status == 200, "a pass without an answer"
        assert body["allowed"] is True, "a pass for who is not let in"
        claims = jwt.decode(issued["value"], options={"verify_signature": False})
        ends = [claims["exp"], claims["iat"] + LONGEST]
        if body["usable_until"] is not None:
            ends.append(int(datetime.fromisoformat(body["usable_until"]).timestamp()))
        assert claims["exp"] == min(ends), "a pass that outlives its decision"
        said = [claims["outcome"], claims["reason"]]
        assert said == [body["outcome"], body["reason"]], "a pass that says another thing"
        assert said[0] in {"owned", "granted"}, "a pass for who is not let in"
        self._told["passed"] = self._told.get("passed", 0) + 1
        presented = question.presented
        if claims["sub"].startswith("itch:"):
            assert presented.method in ("jwt", "user"), "a pass that names an account for a key or an address"
            assert claims["sub"] == f"itch:{presented.account}", "a pass of another account"
            expires_at = datetime.fromisoformat(issued["expires_at"])
            self._kept[presented.game, presented.account or 0] = (issued["value"], expires_at)
