"""Asks a gateway through the client that openapi-python-client makes: every outcome, a batch, and one that is full.

Arguments: address, token, and "outcomes" or "overload". Prints a line for each answer.
"""

import sys

from ownership_client import AuthenticatedClient
from ownership_client.api.administration import invalidate
from ownership_client.api.questions import verify_batch, verify_download_key, verify_user
from ownership_client.models import (
    Answer,
    Batch,
    BatchAnswer,
    DownloadKeyQuestion,
    EmailItem,
    EmailItemMethod,
    Invalidated,
    Invalidation,
    NoAnswerProblem,
    Problem,
    UserItem,
    UserItemMethod,
    UserQuestion,
)
from ownership_client.types import Unset


def show(answer: Answer | NoAnswerProblem | Problem | Invalidated | Unset | None) -> None:
    """Print what matters in an answer."""
    match answer:
        case Answer() | NoAnswerProblem():
            allowed: bool = answer.allowed
            print(str(allowed).lower(), answer.outcome, answer.reason, answer.advice or "-")  # noqa: T201
        case Problem():
            print(answer.status, answer.code)  # noqa: T201
        case other:
            raise AssertionError(f"no answer: {other}")


def batch() -> Batch:
    """Return a batch with a yes, a question without an answer, and a mistake."""
    return Batch(
        items=[
            UserItem(id="a", method=UserItemMethod.USER, game=3, user_id=1994),
            UserItem(id="b", method=UserItemMethod.USER, game=3, user_id=2010, only_if_cached=True),
            EmailItem(id="c", method=EmailItemMethod.EMAIL, game="nowhere", email="bea@example.com"),
        ]
    )


def main(address: str, token: str, what: str) -> None:
    """Ask."""
    with AuthenticatedClient(base_url=address, token=token) as client:
        answered = verify_batch.sync(client=client, body=batch()) if what == "overload" else None
        if what == "overload":
            show(verify_user.sync(client=client, body=UserQuestion(game=3, user_id=1994)))
            assert isinstance(answered, NoAnswerProblem)
            show(answered)
            show(invalidate.sync(client=client, body=Invalidation(game=3, user_id=1994)))
            return
        key = "YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z"
        show(verify_download_key.sync(client=client, body=DownloadKeyQuestion(game="x-moon", download_key=key)))
        for user_id in (29789, 2007, 2008):
            show(verify_user.sync(client=client, body=UserQuestion(game=3, user_id=user_id)))
        show(verify_download_key.sync(client=client, body=DownloadKeyQuestion(game=3, download_key="no key at all")))
        show(verify_user.sync(client=client, body=UserQuestion(game=3, user_id=2010, only_if_cached=True)))
        answered = verify_batch.sync(client=client, body=batch())
        assert isinstance(answered, BatchAnswer)
        for result in answered.results:
            show(result.problem if isinstance(result.decision, Unset) else result.decision)


main(*sys.argv[1:])
