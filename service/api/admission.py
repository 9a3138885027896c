"""Who may ask by which method."""

from collections.abc import Mapping
from typing import Final

from service.api.callers import Caller, CallerDirectory
from service.api.paths import is_json
from service.errors import QuestionRefused
from service.ownership import Method
from service.rights import Right

RIGHT_FOR: Final = {
    Method.DOWNLOAD_KEY: (Right.VERIFY,),
    Method.JWT: (Right.VERIFY,),
    Method.EMAIL: (Right.VERIFY, Right.ASSERT_EMAIL),
    Method.USER: (Right.ASSERT_USER,),
}
"""Whoever names an address or a user on its own word needs the right to."""


def require_rights(method: Method, caller: Caller) -> None:
    """Raise `NotPermitted` unless the caller may ask by this method."""
    caller.require(*RIGHT_FOR[method])


def admitted(callers: CallerDirectory, method: Method, headers: Mapping[bytes, bytes]) -> Caller | None:
    """Return who asks by this method with these headers, each of which was sent once, if the question may be read.

    None is not said to anybody: the framework's handler finds the same, and says so.
    """
    if not is_json(headers.get(b"content-type")):
        return None
    try:
        caller = callers.identify(headers.get(b"authorization"))
        require_rights(method, caller)
    except QuestionRefused:
        return None
    return caller
