"""The place that a proxy guards: it keeps what has reached it."""

import base64
import hashlib
import socketserver
import threading
from typing import Final, Self

_WEBSOCKET: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 4.2.2."""


class GuardedPlace:
    """`with GuardedPlace() as place`: a server on `place.port` of loopback; `place.reached` has the heads it got."""

    def __init__(self) -> None:
        self.reached: list[list[tuple[str, str]]] = []
        reached = self.reached

        class Visit(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                first = self.rfile.readline().decode("latin-1").strip()
                fields = []
                while line := self.rfile.readline().decode("latin-1").strip():
                    name, _, value = line.partition(":")
                    fields.append((name.lower(), value.strip()))
                reached.append([("", first), *fields])
                self.wfile.write(_answer(dict(fields)))

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Visit)
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _answer(fields: dict[str, str]) -> bytes:
    if fields.get("upgrade", "").lower() == "websocket":
        accepted = hashlib.sha1(fields["sec-websocket-key"].encode() + _WEBSOCKET).digest()  # noqa: S324 - RFC 6455's
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        return head.encode() + base64.b64encode(accepted) + b"\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nguarded"
