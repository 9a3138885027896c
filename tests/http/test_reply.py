"""Replies on the wire."""

from service.http.reply import Reply, reply_bytes

DATE = "date: Fri, 20 Nov 2026 14:03:11 GMT\r\n"


def test_reply_with_a_body() -> None:
    """Status, date, form, length, further fields, body."""
    reply = Reply(404, b"{}", headers={"x-request-id": "1"})

    assert reply_bytes(reply, date=DATE, close=True) == (
        b"HTTP/1.1 404 Not Found\r\ndate: Fri, 20 Nov 2026 14:03:11 GMT\r\nconnection: close\r\n"
        b"content-type: application/json\r\ncontent-length: 2\r\nx-request-id: 1\r\n\r\n{}"
    )


def test_reply_to_head_has_the_length_that_get_would_have() -> None:
    """RFC 9110 9.3.2."""
    head = reply_bytes(Reply(200, b"four"), date=DATE, close=False, head_only=True)

    assert head.endswith(b"content-length: 4\r\n\r\n")


def test_reply_without_content_has_no_length() -> None:
    """RFC 9110 8.6: a server must not send it with 204."""
    assert reply_bytes(Reply(204, b"", headers={"allow": "GET"}), date=DATE, close=False) == (
        b"HTTP/1.1 204 No Content\r\ndate: Fri, 20 Nov 2026 14:03:11 GMT\r\nallow: GET\r\n\r\n"
    )
