"""Questions about the sandbox's users, their right answers, and the bytes of a request that asks one."""

import json
from itertools import cycle, islice
from typing import Final

import httpx
import msgspec

OWNERS: Final = (1994, 2001, 2002, 2009, 2010)
OTHERS: Final = (2003, 2004, 2005, 2007, 2008)
PATH: Final = "/verify/user"


def users(number: int) -> list[int]:
    """Return so many users, owners and others in turn: an answer that belongs to its neighbour is wrong."""
    in_turn = [user for pair in zip(OWNERS, OTHERS, strict=True) for user in pair]
    return list(islice(cycle(in_turn), number))


def body(user_id: int) -> bytes:
    """Return the question as JSON."""
    return msgspec.json.encode({"game": 3, "user_id": user_id})


def fate(status: int, answer: bytes | str, user_id: int) -> str:
    """Return `right`, `wrong`, or the status that came instead of a decision."""
    if status != httpx.codes.OK:
        return str(status)
    right = "owned" if user_id in OWNERS else "not_owned"
    return "right" if json.loads(answer)["outcome"] == right else "wrong"


def request(user_id: int, token: str, path: str = PATH) -> bytes:
    """Return an HTTP/1.1 request that asks about the user."""
    question = body(user_id)
    head = [
        f"POST {path} HTTP/1.1",
        "Host: gateway",
        "Content-Type: application/json",
        f"Authorization: Bearer {token}",
        f"Content-Length: {len(question)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + question
