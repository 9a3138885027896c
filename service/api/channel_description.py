"""The description of the endpoint for the newest version of a channel."""

from service.api.description_parts import problem_response, problem_responses, response_of
from service.api.problems import MEDIA_TYPE
from service.api.questions import GAME_TEXT
from service.api.schemas import Schema


def find_newest_version() -> Schema:
    """Describe `GET /games/{game}/channels/{channel}`."""
    game = {"name": "game", "in": "path", "schema": {"type": "string", "pattern": GAME_TEXT}, "example": "x-moon"}
    channel = {"name": "channel", "in": "path", "schema": {"type": "string"}, "example": "windows"}
    max_age = {"name": "max_age", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 86_400}}
    unknown = "No such game or channel is configured (`unknown_game`, `unknown_channel`), or none is (`not_enabled`)."
    return {
        "tags": ["channels"],
        "operationId": "find_newest_version",
        "summary": "Which version of a channel is the newest?",
        "description": "Needs the right `verify`. Compare it for equality. It says nothing about ownership: refuse no "
        "player because there is none.",
        "parameters": [
            game | {"required": True, "description": "The game's configured slug, or its itch.io id."},
            channel | {"required": True, "description": "A channel that is configured for the game."},
            max_age | {"description": "Never give a version that was observed longer ago than this, in seconds."},
        ],
        "responses": {
            "200": response_of("The newest version that is known.", "ChannelAnswer"),
            **problem_responses("400", "401", "403", "429", "500"),
            "404": problem_response("unknown_channel", unknown),
            "503": response_of(
                "Nothing is known that may be given: ask again after `Retry-After`.",
                "NoAnswerProblem",
                "Retry-After",
                media_type=MEDIA_TYPE,
                examples=("overloaded",),
            ),
        },
    }
