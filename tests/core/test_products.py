"""The shape of a token of mod.io's: what has it not, goes nowhere."""

from typing import Final

import pytest

from service.products import ModioToken, read_modio_token

PART: Final = "eyJhbGciOiJSUzI1NiJ9"


@pytest.mark.parametrize("parts", [3, 5])
def test_signed_and_encrypted_tokens_have_its_shape(parts: int) -> None:
    """Three parts or five; white space around them is no part of it."""
    text = ".".join([PART] * parts)

    assert read_modio_token(f" {text}\n") == ModioToken(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0123456789abcdef0123456789abcdef",  # an API key of mod.io
        "Hq7t3kXcVbNm2LpWzRyUaSdF9gJhKe1o4iTv8BnQ",  # an API key of itch.io
        f"{PART}.{PART}",
        f"{PART}.{PART}.{PART}.{PART}",
        f"{PART}..{PART}",
        f"{PART}.{PART}.a=",
        f"{PART}.{PART}.\u00e9",
        f"{PART}.{PART}.{PART}\r\nX: y",
        f"{'a' * 8192}.a.a",
    ],
)
def test_anything_else_has_not(text: str) -> None:
    """Keys above all: they would be sent to a store that has nothing to do with them."""
    assert read_modio_token(text) is None
