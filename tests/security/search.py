"""A search for secrets in every form in which they may have got out."""

import base64
from collections.abc import Iterator, Mapping
from urllib.parse import quote


def forms_of(secret: str) -> Iterator[tuple[str, bytes]]:
    """Yield every form of a secret that is looked for, each with its name."""
    raw = secret.encode()
    yield "raw", raw
    yield "reversed", raw[::-1]
    yield "hexadecimal", raw.hex().encode()
    yield "hexadecimal in capitals", raw.hex().upper().encode()
    yield "url-encoded", quote(secret, safe="").encode()
    yield "url-encoded to the last byte", "".join(f"%{byte:02X}" for byte in raw).encode()
    yield "in a Python string", repr(secret)[1:-1].encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # Inside a longer text it looks different at each of three offsets, but for the characters at its ends.
            encoded = encode(b"\0" * shift + raw)
            yield f"base64 at offset {shift}", encoded[4 if shift else 0 :].rstrip(b"=")[:-2]


def found(secrets: Mapping[str, str], haystacks: Mapping[str, bytes]) -> list[str]:
    """Return which secrets are where, and in what form; never the secrets themselves."""
    return [
        f"{name}, {form}, in {place}"
        for name, secret in secrets.items()
        for form, needle in set(forms_of(secret))
        for place, haystack in haystacks.items()
        if needle in haystack
    ]
