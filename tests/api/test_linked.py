"""Types of problems: of the gateway's own page, or below `links.base_url`."""

import json

import pytest

from service.api.linked import LinkedProblems
from service.api.paths import BATCH_PATH
from service.api.problems import status_reply
from service.http.application import Listener
from service.http.connection import HttpRefusal, Request
from service.http.reply import Reply
from service.ownership import Outcome, Reason
from service.sandbox import seed
from service.settings.model import ItchSettings, LinksSettings, Settings
from service.wiring.upstream import user_agent
from service.wiring.version import VERSION
from tests.api.conftest import Open
from tests.api.test_pages import Reader
from tests.gateways import X_MOON, befall

_LINKED = 'links.base_url = "https://pages.studio.example/gateway/"\n' + X_MOON
_BELOW = "https://pages.studio.example/gateway/docs/api.md#"


async def test_type_leads_to_a_place_on_the_page(open_with: Open) -> None:
    """Without an address the type is a relative reference, which the gateway itself serves."""
    gateway = await open_with()

    problem = (await gateway.http.get("/nothing")).json()
    place = problem["type"].partition("#")[2]

    assert problem["type"] == "/docs#unknown_route"
    assert place in Reader((await gateway.http.get(problem["type"])).text).values("id")


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.outcome is Outcome.UNKNOWN])
async def test_page_has_a_place_for_each_reason_of_a_503(open_with: Open, reason: Reason) -> None:
    """As it has for all other codes."""
    gateway = await open_with()

    assert reason in Reader((await gateway.http.get("/docs")).text).values("id")


async def test_type_is_below_the_configured_address(open_with: Open) -> None:
    """Of all problems: what HTTP refuses, what a question refuses, no answer, and one item of a batch."""
    gateway = await open_with(_LINKED)
    befall(gateway.sandbox, status=500)
    question = {"game": "x-moon", "download_key": seed.MEDIUM_KEY}
    item = {"id": "1", "method": "download_key", **question}

    nowhere = await gateway.http.get("/nothing")
    malformed = await gateway.http.post("/verify/user", json={"game": "x-moon"})
    unanswered = await gateway.http.post("/verify/download-key", json=question)
    batch = await gateway.http.post(BATCH_PATH, json={"items": [item]})

    assert nowhere.json()["type"] == f"{_BELOW}unknown_route"
    assert malformed.json()["type"] == f"{_BELOW}missing_field"
    assert unanswered.json()["type"] == f"{_BELOW}source_unavailable"
    assert batch.json()["results"][0]["problem"]["type"] == f"{_BELOW}source_unavailable"
    for reply in (nowhere, malformed, unanswered, batch):
        assert "/docs#" not in reply.text


async def test_answers_and_pages_stay_as_they_are(open_with: Open) -> None:
    """Only types of problems change."""
    gateway = await open_with(_LINKED)

    assert (await gateway.key(seed.OWNER_KEY)).json()["outcome"] == "owned"
    assert (await gateway.http.get("/docs")).text == (await (await open_with()).http.get("/docs")).text


class Problems:
    """An application that has a problem for everything."""

    reply = status_reply(500, request_id="1")

    def answer(self, _request: Request, _listener: Listener, /) -> Reply:
        """Answer at once."""
        return self.reply

    def shed(self, _request: Request, _listener: Listener, /) -> Reply:
        """As above."""
        return self.reply

    def refuse(self, _refusal: HttpRefusal) -> Reply:
        """As above."""
        return self.reply

    def crashed(self, _bug: BaseException) -> Reply:
        """As above."""
        return self.reply


async def test_every_way_to_a_reply_has_it() -> None:
    """Refused unread, no request at all, and a bug."""
    linked = LinkedProblems(Problems(), base_url="http://x")
    request = Request(method=b"GET", target=b"/", headers={})
    replies = [
        linked.answer(request, Listener.EVERYTHING),
        linked.shed(request, Listener.EVERYTHING),
        linked.refuse(HttpRefusal(400)),
        linked.crashed(ValueError()),
    ]

    for reply in replies:
        assert isinstance(reply, Reply)
        assert json.loads(reply.body)["type"] == "http://x/docs/api.md#internal_error"
        assert (reply.status, reply.headers) == (500, Problems.reply.headers)


async def test_off_until_configured(open_with: Open) -> None:
    """Connections and answers have no part between them."""
    assert not isinstance((await open_with()).gateway.http.application, LinkedProblems)
    assert isinstance((await open_with(_LINKED)).gateway.http.application, LinkedProblems)


@pytest.mark.parametrize(
    ("contact", "base", "ends"),
    [
        (None, None, ""),
        (None, "https://pages.studio.example", " (+https://pages.studio.example)"),
        ("https://studio.example/c", "https://pages.studio.example", " (+https://studio.example/c)"),
    ],
)
def test_user_agent_names_no_page_that_nobody_configured(contact: str | None, base: str | None, ends: str) -> None:
    """A contact goes before the documentation."""
    settings = Settings(itch=ItchSettings(contact_url=contact), links=LinksSettings(base_url=base))

    assert user_agent(settings) == f"ownership-gateway/{VERSION}{ends}"
