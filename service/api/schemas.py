"""The schemas of all bodies, made from the very structs that read and write them.

They say what a caller should send and will get, in the words that generators of clients understand: no defaults in what
is sent, types beside enumerations, and bodies that may stand in the same place told apart by their `status`.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from inspect import cleandoc
from typing import Any, Final

import msgspec

from service.api.answers import TITLES, NoAnswerProblem
from service.api.pass_bodies import Order
from service.api.problems import REFUSED_WITH, Problem
from service.api.questions import Batch, EmailQuestion, Item, Presented
from service.ownership import LARGEST_ID

Schema = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
_LARGEST_INT32: Final = 2**31 - 1
"""The largest number that clients of typed languages can hold unless they are told that there are larger ones."""

_GAME: Final = "GameName"
_NO_ANSWER_REASON: Final = "NoAnswerReason"


def ref(name: str) -> Schema:
    """Return a reference to a schema."""
    return {"$ref": _REF.format(name=name)}


def schemas_of(kinds: Sequence[Any]) -> dict[str, Schema]:
    """Return the schemas of these structs, and of all that they are made of, by name."""
    (item, order, *_), components = msgspec.json.schema_components(
        [Item, Order, Batch, Problem, NoAnswerProblem, EmailQuestion, *kinds],
        schema_hook=_schema_of_custom,
        ref_template=_REF,
    )
    for part in _parts_of(components):
        _mend(part)
    _name_the_game(components)
    _name_items(components, item)
    components["Order"] = {"title": "Order", "description": "A question, and what a pass is to be good for."} | order
    components["Order"]["oneOf"] = components["Order"].pop("anyOf")
    _tell_problems_apart(components)
    for name in ("EmailQuestion", "EmailItem", "EmailOrder"):
        # One of both at least; said by `anyOf`, generators would make a class for each instead of one with all fields.
        components[name]["not"] = {"properties": {"email": {"not": {}}, "proof": {"not": {}}}}
    return dict(sorted(components.items()))


def _schema_of_custom(kind: type[Any]) -> Schema:
    if kind is Presented:
        return {"type": "string", "format": "password"}
    raise AssertionError(f"no schema for {kind.__name__}")


def _parts_of(value: object) -> Iterator[Schema]:
    """Return every object in a schema, at any depth."""
    match value:
        case dict():
            yield value
            for one in value.values():
                yield from _parts_of(one)
        case list():
            for one in value:
                yield from _parts_of(one)


def _mend(schema: Schema) -> None:
    """Leave defaults to the gateway, which clients would send, and say what generators cannot guess."""
    schema.pop("default", None)
    if isinstance(text := schema.get("description"), str):
        schema["description"] = cleandoc(text)
    if isinstance(schema.get("enum"), list):
        schema["type"] = "string"
    if schema.get("type") == "integer" and schema.get("maximum", LARGEST_ID) > _LARGEST_INT32:
        schema["format"] = "int64"


def _name_the_game(components: dict[str, Schema]) -> None:
    """Give the field that all questions have one schema, so that it becomes one type."""
    bodies = [schema["properties"] for schema in components.values() if "game" in schema.get("properties", {})]
    components[_GAME] = {"title": _GAME, "description": "A configured game."} | bodies[0]["game"]
    for body in bodies:
        body["game"] = ref(_GAME)


def _name_items(components: dict[str, Schema], item: Schema) -> None:
    """Give a batch items that are told apart by their `method`, and results with their bodies."""
    item["oneOf"] = item.pop("anyOf")
    components["Item"] = {"title": "Item", "description": "A question in a batch."} | item
    components["Batch"]["properties"]["items"]["items"] = ref("Item")
    result = components["Result"]["properties"]
    result["decision"] = ref("Answer")
    result["problem"] = {"oneOf": [ref("NoAnswerProblem"), ref("Problem")]}


def _tell_problems_apart(components: dict[str, Schema]) -> None:
    """Say what is always the same in a 503, and that no other problem has its status."""
    components["Problem"]["properties"]["status"] = {"type": "integer", "enum": list(REFUSED_WITH)}
    components[_NO_ANSWER_REASON] = {
        "title": _NO_ANSWER_REASON,
        "description": "The reason for no answer.",
        "type": "string",
        "enum": sorted(TITLES),
    }
    no_answer = components["NoAnswerProblem"]["properties"]
    no_answer["status"] = {"type": "integer", "enum": [503]}
    no_answer["outcome"] = {"type": "string", "enum": ["unknown"]}
    no_answer["code"] = no_answer["reason"] = ref(_NO_ANSWER_REASON)
    mail = components["MailProblem"] = deepcopy(components["Problem"]) | {"title": "MailProblem"}
    mail["properties"]["status"] = {"type": "integer", "enum": [503]}
    # What was not read is answered alike everywhere, as if it were a question.
    mail["properties"] |= {name: no_answer[name] for name in ("allowed", "outcome", "reason", "advice")}
    mail["description"] = "A mail that was not sent, or a request that was not read."
