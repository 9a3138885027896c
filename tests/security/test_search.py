"""A search that finds nothing proves nothing, unless it finds what is there."""

import base64

import pytest

from tests.security.search import forms_of, found

SECRET = "canary+1994@example.com/ä"
PADDING = b'{"level":"debug","event":"'


@pytest.mark.parametrize(("form", "needle"), list(forms_of(SECRET)))
def test_planted_secret_is_found_in_every_form(form: str, needle: bytes) -> None:
    """Among other text, and named by its form."""
    report = found({"e-mail": SECRET}, {"the log": PADDING + needle + PADDING})

    assert f"e-mail, {form}, in the log" in report


@pytest.mark.parametrize("before", range(9))
@pytest.mark.parametrize("after", range(4))
def test_secret_is_found_in_the_base64_of_a_longer_text(before: int, after: int) -> None:
    """An `Authorization` header of the Basic kind and a JWT's payload are such texts."""
    haystack = base64.b64encode(b"x" * before + SECRET.encode() + b"y" * after)

    assert found({"e-mail": SECRET}, {"a header": haystack})


def test_what_is_not_there_is_not_found() -> None:
    """A search for a secret that is not there raises no false alarm."""
    assert found({"e-mail": SECRET}, {"the log": PADDING}) == []
