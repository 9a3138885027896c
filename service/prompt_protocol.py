"""HTTP for questions whose answer is known already: it is written at once, by no task and through no application."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from service.http_protocol import BoundedProtocol

AnswerAtOnce: TypeAlias = Callable[[bytes, bytes, Any], bytes | None]
"""Takes a whole request, header fields for the response, and the address that it came in on."""

_LARGEST: Final = 4096
"""A larger request is not looked at here; most questions take a few hundred bytes."""


class PromptProtocol(BoundedProtocol):
    """One connection; made by `prompt_protocol`.

    What comes in while the connection is at rest, begins like a question and is one whole request, is shown to
    `answer_at_once`. If that has no answer, or anything else comes in, everything is as if there were no such thing.
    (The parser alone, with the task and the response cycle behind it, took three times as long as knowing the answer.)
    """

    beginning: bytes
    answer_at_once: AnswerAtOnce

    def data_received(self, data: bytes) -> None:
        if len(data) > _LARGEST or not data.startswith(self.beginning) or not self._is_at_rest():
            super().data_received(data)
            return
        fields = b"".join([b"%b: %b\r\n" % field for field in self.server_state.default_headers])
        response = self.answer_at_once(data, fields, self.server)
        if response is None:
            super().data_received(data)
            return
        self.transport.write(response)
        self._arrived()
        self._header_bytes = 0  # line breaks before the question were none of the next one's header
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        self.server_state.total_requests += 1

    def _is_at_rest(self) -> bool:
        """Whether nothing is under way here, and more may be begun."""
        return (
            self._is_between_requests()
            and len(self.tasks) < self.max_requests
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )


def prompt_protocol(
    bounded: type[BoundedProtocol], *, beginning: bytes, answer_at_once: AnswerAtOnce
) -> type[PromptProtocol]:
    """Return the protocol for one server, made of the one that has its bounds."""
    members = {"beginning": beginning, "answer_at_once": staticmethod(answer_at_once)}
    return type("PromptProtocol", (PromptProtocol, bounded), members)
