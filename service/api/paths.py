"""Where questions are sent, and in what form: known to every way that one can come."""

from typing import Final

from service.ownership import Method

PATHS: Final = {
    Method.DOWNLOAD_KEY: "/verify/download-key",
    Method.JWT: "/verify/jwt",
    Method.EMAIL: "/verify/email",
    Method.USER: "/verify/user",
}
BATCH_PATH: Final = "/verify/batch"
INVALIDATE_PATH: Final = "/admin/invalidate"

LARGEST_BODY: Final = 16 * 1024

_END_OF_HEAD: Final = b"\r\n\r\n"


def head_length(request: bytes) -> int:
    """Return how long the head of a request is, with the empty line that ends it; 0 if it is not whole."""
    at = request.find(_END_OF_HEAD)
    return 0 if at < 0 else at + len(_END_OF_HEAD)


def is_json(content_type: bytes | None) -> bool:
    """Whether a body of this `Content-Type` is JSON in UTF-8."""
    media_type, _, parameters = (content_type or b"").partition(b";")
    charset = parameters.strip().lower()
    return media_type.strip().lower() == b"application/json" and charset in (
        b"",
        b"charset=utf-8",
        b'charset="utf-8"',
    )
