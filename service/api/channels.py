"""The newest version of a channel over HTTP. Imported when one is first asked for one that is configured."""

from datetime import timedelta
from typing import Final

import msgspec

from service.api.answers import TITLES, no_answer_reply, to_the_second
from service.api.channel_body import ChannelAnswer
from service.api.channel_questions import read_max_age
from service.api.problems import whole_seconds
from service.api.verify_service import Asking
from service.channels.newest_versions import FRESH, NewestVersions
from service.errors import NoAnswer, UnknownChannel
from service.http.reply import Reply
from service.ownership import Reason

_RETRY_SOON: Final = timedelta(seconds=5)


class ChannelService:
    """Answers those who ask for versions."""

    def __init__(self, *, versions: NewestVersions, deadline: timedelta) -> None:
        self._versions = versions
        self._deadline = deadline

    async def answer(self, game: str, channel: str, max_age: str | None, asking: Asking) -> Reply:
        """Return the newest version, or 503 if there is none to give. Raises `QuestionRefused`."""
        rules = asking.games.find(game)
        game_id = rules.game_id
        asking.caller.require_game(game_id)
        if channel not in rules.channels:
            raise UnknownChannel
        try:
            found = await self._versions.find(game_id, channel, max_age=read_max_age(max_age), within=self._deadline)
        except NoAnswer as no_answer:
            return _no_version(no_answer, asking.request_id)
        version = found.version
        body = ChannelAnswer(
            game_id=game_id,
            channel=channel,
            latest=version.latest,
            observed_at=to_the_second(version.observed_at),
            fresh_until=to_the_second(version.observed_at + FRESH),
            stale=found.stale,
            cache=found.tier,
        )
        return Reply(200, msgspec.json.encode(body))


def _no_version(no_answer: NoAnswer, request_id: str) -> Reply:
    reason = no_answer.reason
    title = "itch.io shows no such game to the public" if reason is Reason.GAME_NOT_ACCESSIBLE else TITLES[reason]
    seconds = whole_seconds(no_answer.retry_after or _RETRY_SOON)
    return no_answer_reply(reason, title, request_id=request_id, retry_after_seconds=seconds)
