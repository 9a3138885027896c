"""The bodies that callers send, and the questions that they mean."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, TypeAlias, get_args

import msgspec
from msgspec import Meta, Raw, Struct, field, structs

from service.credentials import read_access_token, read_download_key, read_email, read_jwt, read_user_id
from service.errors import BadQuestion
from service.ownership import LARGEST_ID, Credential, Malformed, Method, VerifiedEmail
from service.secret import Secret

MOST_ITEMS: Final = 100
"""The most questions in one batch."""


class Presented(Secret):
    """The credential that the player presented, not yet looked at."""


GAME_TEXT: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"
"""A slug, or the digits of an id."""

GameName: TypeAlias = (
    Annotated[int, Meta(ge=1, le=LARGEST_ID, description="The number that itch.io gave the game.")]
    | Annotated[str, Meta(pattern=GAME_TEXT, description="The game's configured slug, or its id as text.")]
)


class QuestionBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields that all questions have."""

    game: GameName
    max_age: Annotated[int, Meta(ge=0, le=2**31 - 1, description="Never use evidence older than this, in seconds.")] | (
        None
    ) = None
    only_if_cached: Annotated[bool, Meta(description="Answer from what is known; never ask the store.")] = False
    deadline_ms: Annotated[int, Meta(ge=50, le=10_000, description="How long the caller waits.")] | None = None


PlayerRef: TypeAlias = Annotated[
    str,
    Meta(
        # In Python the dollar sign also stands before a line break at the end.
        pattern=r"^[A-Za-z0-9._:@-]{1,64}$(?!\n)",
        description="The caller's own name for the player.",
    ),
]


class DownloadKeyQuestion(QuestionBody, frozen=True, kw_only=True):
    """Does the holder of this download key own the game?"""

    asked_by: ClassVar[Method] = Method.DOWNLOAD_KEY

    download_key: Annotated[Presented, Meta(description="The key, or the whole download URL that a player pasted.")]
    player_ref: PlayerRef | None = None

    def credential(self, at: str) -> Credential | Malformed:  # noqa: ARG002 - a key is the player's, not the caller's
        """Return the download key, or that it is none, and why."""
        return read_download_key(self.download_key.reveal())


class JwtQuestion(QuestionBody, frozen=True, kw_only=True):
    """Does the player to whom the itch.io app gave this JWT own the game?"""

    asked_by: ClassVar[Method] = Method.JWT

    jwt: Annotated[Presented, Meta(description="`ITCHIO_API_KEY`, as the itch.io app gave it to the game.")]

    def credential(self, at: str) -> Credential | Malformed:  # noqa: ARG002 - a JWT is the player's, not the caller's
        """Return the JWT, or that it is none."""
        return read_jwt(self.jwt.reveal())


class AccessTokenQuestion(QuestionBody, frozen=True, kw_only=True):
    """Does the player who has given a game's application this access token own the game?"""

    asked_by: ClassVar[Method] = Method.ACCESS_TOKEN

    access_token: Annotated[Presented, Meta(description="What itch.io gave the game in the `access_token` of its URL.")]

    def credential(self, at: str) -> Credential | Malformed:  # noqa: ARG002 - as for a JWT
        """Return the access token, or that it is none."""
        return read_access_token(self.access_token.reveal())


class EmailQuestion(QuestionBody, frozen=True, kw_only=True):
    """Does the player who controls this address own the game?"""

    asked_by: ClassVar[Method] = Method.EMAIL

    email: (
        Annotated[
            Presented,
            Meta(
                description="An address that the caller has verified; with a proof, the one that it has to prove.",
                extra_json_schema={"format": "email"},
            ),
        ]
        | None
    ) = None
    proof: Annotated[Presented, Meta(description="An OIDC id token of the player's that proves an address.")] | None = (
        None
    )
    nonce: Annotated[Presented, Meta(description="The `nonce` that the id token was asked for with.")] | None = None

    def credential(self, at: str) -> Credential | Malformed:
        """Return the address on the caller's word. Raises `BadQuestion` for a malformed one, and for none."""
        address = self.address(at)
        if address is None:
            raise BadQuestion(f"{at}/email", "missing_field", "this field is required, unless there is a proof")
        return address

    def address(self, at: str) -> VerifiedEmail | None:
        """Return the address that is named, None if none is. Raises `BadQuestion` for a malformed one."""
        return None if self.email is None else read_email(self.email.reveal(), pointer=f"{at}/email")


class UserQuestion(QuestionBody, frozen=True, kw_only=True):
    """Does this itch.io user own the game?"""

    asked_by: ClassVar[Method] = Method.USER

    user_id: Annotated[int, Meta(ge=1, le=LARGEST_ID, description="A user whom the caller authenticated itself.")]

    def credential(self, at: str) -> Credential | Malformed:
        """Return the user."""
        return read_user_id(self.user_id, pointer=f"{at}/user_id")


class PassQuestion(QuestionBody, frozen=True, kw_only=True):
    """May the player to whom this pass was given still play?"""

    asked_by: ClassVar[Method] = Method.PASS

    shown: Annotated[Presented, Meta(description="The `value` of a pass, as `/passes` gave it.")] = field(name="pass")
    player_ref: PlayerRef | None = None


ItemId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]


class DownloadKeyItem(DownloadKeyQuestion, frozen=True, kw_only=True, tag_field="method", tag="download_key"):
    """The question about a download key, in a batch."""

    id: ItemId


class JwtItem(JwtQuestion, frozen=True, kw_only=True, tag_field="method", tag="jwt"):
    """The question about a JWT, in a batch."""

    id: ItemId


class AccessTokenItem(AccessTokenQuestion, frozen=True, kw_only=True, tag_field="method", tag="access_token"):
    """The question about an access token, in a batch."""

    id: ItemId


class EmailItem(EmailQuestion, frozen=True, kw_only=True, tag_field="method", tag="email"):
    """The question about an e-mail address, in a batch."""

    id: ItemId


class UserItem(UserQuestion, frozen=True, kw_only=True, tag_field="method", tag="user"):
    """The question about a user, in a batch."""

    id: ItemId


class PassItem(PassQuestion, frozen=True, kw_only=True, tag_field="method", tag="pass"):
    """The question about a pass, in a batch."""

    id: ItemId


Item: TypeAlias = DownloadKeyItem | JwtItem | EmailItem | UserItem | PassItem | AccessTokenItem


class ItemHead(Struct, frozen=True, kw_only=True):
    """As much of an item as is needed to answer it at all."""

    id: ItemId


class Batch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to 100 questions, each read on its own: a mistake in one is that one's alone."""

    items: Annotated[list[Raw], Meta(min_length=1, max_length=MOST_ITEMS)]


AnyQuestionBody: TypeAlias = (
    DownloadKeyQuestion | JwtQuestion | EmailQuestion | UserQuestion | PassQuestion | AccessTokenQuestion
)

QUESTIONS: Final[Mapping[Method, type[AnyQuestionBody]]] = {
    Method.DOWNLOAD_KEY: DownloadKeyQuestion,
    Method.JWT: JwtQuestion,
    Method.EMAIL: EmailQuestion,
    Method.USER: UserQuestion,
    Method.PASS: PassQuestion,
    Method.ACCESS_TOKEN: AccessTokenQuestion,
}


def _hide(kind: type[Any], value: object) -> object:
    if kind is Presented and isinstance(value, str):
        return Presented(value)
    raise ValueError("Expected `str`")


class BodyReader:
    """Reads bodies of one type: strictly, and without ever repeating what was in them."""

    def __init__(self, kind: Any) -> None:  # noqa: ANN401 - a type or a union of types
        self._kind = kind
        self._decoder = msgspec.json.Decoder(kind, dec_hook=_hide)
        self._fields = _fields_of(kind)

    def read(self, body: bytes | Raw, *, at: str = "") -> Any:  # noqa: ANN401 - what the reader was made for
        """Return the value. Raises `BadQuestion` with a JSON pointer below `at` to what is wrong."""
        try:
            try:
                return self._decoder.decode(body)
            except msgspec.ValidationError as error:
                if _GOT_FLOAT not in str(error):
                    raise
            return msgspec.convert(_whole(msgspec.json.decode(body)), self._kind, dec_hook=_hide)
        except msgspec.ValidationError as error:
            raise _mistake(str(error), at, self._fields) from None  # its text may repeat the body
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadQuestion(at, "unreadable_json", "the body is not JSON in UTF-8") from None


def _fields_of(kind: Any) -> str:  # noqa: ANN401 - a type or a union of types
    """Return the fields that a body may have, required ones first; of a union, those of all its kinds and of each."""
    kinds = [structs.fields(one) for one in get_args(kind) or (kind,)]
    names = [[one.encode_name for one in sorted(kind, key=lambda one: not one.required)] for kind in kinds]
    shared = [name for name in names[0] if all(name in one for one in names)]
    if len(names) == 1:
        return ", ".join(shared)
    own = [name for one in names for name in one if name not in shared]
    return ", ".join([*shared, "method"]) + ", and for its method one of " + ", ".join(dict.fromkeys(own))


_GOT_FLOAT: Final = "got `float`"


def _whole(value: Any) -> Any:  # noqa: ANN401 - any value that JSON has
    """Return the value with whole numbers as integers: to JSON Schema 3.0 is one, and Godot writes all numbers so."""
    match value:
        case float() if value.is_integer() and abs(value) <= LARGEST_ID:
            return int(value)
        case list():
            return [_whole(one) for one in value]
        case dict():
            return {key: _whole(one) for key, one in value.items()}
        case _:
            return value


_FIELDS: Final = frozenset({"id", "method"}).union(*(kind.__struct_encode_fields__ for kind in QUESTIONS.values()))
_AT: Final = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_STEP: Final = re.compile(r"\.(?P<field>\w+)|\[(?P<index>\d+)\]")
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>\w+)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_WRONG_TYPE: Final = re.compile(r"Expected `[^`]+`(?:, got `[^`]+`)?")


_JSON_NAMES: Final = {"int": "integer", "str": "string", "bool": "boolean", "float": "number", "dict": "object"}


def _in_json(expected: str) -> str:
    """Name types as JSON does; msgspec names them as Python does."""
    return re.sub(r"\w+", lambda word: _JSON_NAMES.get(word[0], word[0]), expected)


def _mistake(text: str, at: str, fields: str) -> BadQuestion:
    """Turn msgspec's message into a pointer, a code and a sentence that repeat nothing that was sent.

    `fields` names those that there are.
    """
    where = _AT.search(text)
    path = where["path"] if where else ""
    pointer = at + "".join(f"/{step['field'] or step['index']}" for step in _STEP.finditer(path))
    text = text[: where.start()] if where else text
    if match := _MISSING.fullmatch(text):
        return BadQuestion(f"{pointer}/{match['field']}", "missing_field", "this field is required")
    if match := _UNKNOWN.fullmatch(text):
        # A field's name is the sender's own text: it is named only if it is one of ours in the wrong place.
        field = match["field"]
        return BadQuestion(
            f"{pointer}/{field}" if field in _FIELDS else pointer,
            "unknown_field",
            f"there is no such field here; there are: {fields}",
        )
    if _WRONG_TYPE.fullmatch(text):
        return BadQuestion(pointer, "wrong_type", _in_json(text.partition(", got")[0]))
    return BadQuestion(
        pointer, "out_of_range", _in_json(text) if text.startswith("Expected") else "this value is not allowed"
    )
