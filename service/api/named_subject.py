"""The player that a body names by exactly one credential, as operators and support name one."""

from typing import Annotated

from msgspec import Meta, Struct

from service.api.questions import Presented
from service.credentials import read_access_token, read_download_key, read_email, read_jwt, read_user_id
from service.errors import BadQuestion
from service.ownership import LARGEST_ID, Credential, Malformed, PlayerToken, Subject


class SubjectFields(Struct, frozen=True, kw_only=True):
    """The fields by which a body names a player, of which it has one, or none."""

    download_key: Annotated[Presented, Meta(description="The key, or the URL that it is part of.")] | None = None
    email: Annotated[Presented, Meta(description="The player's address.")] | None = None
    user_id: Annotated[int, Meta(ge=1, le=LARGEST_ID, description="The player's itch.io user id.")] | None = None


def named_credential(
    body: SubjectFields, jwt: Presented | None = None, access_token: Presented | None = None
) -> Credential | Malformed | None:
    """Return what the fields name, None if they name nothing. Raises `BadQuestion` for two, and for a bad one."""
    fields = {
        "download_key": body.download_key,
        "jwt": jwt,
        "access_token": access_token,
        "email": body.email,
        "user_id": body.user_id,
    }
    given = [name for name, value in fields.items() if value is not None]
    if len(given) > 1:
        raise BadQuestion(f"/{given[1]}", "too_many_subjects", "name one subject")
    if body.download_key is not None:
        return read_download_key(body.download_key.reveal())
    if jwt is not None:
        return read_jwt(jwt.reveal())
    if access_token is not None:
        return read_access_token(access_token.reveal())
    if body.email is not None:
        return read_email(body.email.reveal(), pointer="/email")
    return None if body.user_id is None else read_user_id(body.user_id, pointer="/user_id")


def named_subject(body: SubjectFields) -> Subject | None:
    """Return the subject that the fields name, None if they name none. Raises `BadQuestion`."""
    named = named_credential(body)
    if isinstance(named, Malformed):
        raise BadQuestion("/download_key", named.reason, "this is no download key")
    if isinstance(named, PlayerToken):
        raise AssertionError("a token was named where none can be")
    return named
