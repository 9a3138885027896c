"""HTTP for plain questions: they are answered without the server's parser and its response cycle."""

from asyncio import Future, TimerHandle
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from service.api.response_bytes import CLOSE, Response
from service.http_protocol import BoundedProtocol

AnswerAtOnce: TypeAlias = Callable[[bytes, bytes, Any], bytes | None]
"""Takes a whole request, header fields for the response, and the address that it came in on."""

AnswerSoon: TypeAlias = Callable[[bytes, Any], Future[Response] | None]
"""Takes a whole request and the address that it came in on; what it returns raises nothing but for a bug."""

IsBeginning: TypeAlias = Callable[[bytes, Any], bool]
"""Takes what has come of a request, and the address; says whether it is a question of which some is still to come."""

_LARGEST: Final = 4096
"""A larger request is not looked at here; most questions take a few hundred bytes."""


class PromptProtocol(BoundedProtocol):
    """One connection; made by `prompt_protocol`.

    What comes in while the connection is at rest, begins like a question and is one whole request, is shown to
    `answer_at_once` and, if that has no answer, to `answer_soon`, whose answer may have to be waited for. If neither
    takes it, or anything else comes in, everything is as if there were no such thing. (The parser alone, with the
    response cycle behind it, took three times as long as knowing the answer.)

    Many clients send head and body apart. What `is_beginning` knows is kept for a moment, until the rest is there, too.
    A rest that takes longer is the parser's, and so is to tell its sender when it takes too long.

    While an answer is waited for the connection is as busy as with any other request: what comes in meanwhile is held.
    """

    beginning: bytes
    answer_at_once: AnswerAtOnce
    answer_soon: AnswerSoon
    is_beginning: IsBeginning

    def __init__(self, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401 - handed on as they are
        super().__init__(*arguments, **settings)
        self._waited_for: Future[Response] | None = None
        self._default_headers: Any = None
        self._fields = b""
        self._begun = b""
        self._kept: TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        if self._begun:
            data, self._begun = self._begun + data, b""
        if self._waited_for is not None:
            self._held += data
            self.flow.pause_reading()
        elif len(data) > _LARGEST or not data.startswith(self.beginning) or not self._is_at_rest():
            self._leave_to_parser(data)
        elif (response := self.answer_at_once(data, self._own_fields(), self.server)) is not None:
            self._begin()
            self._send(response)
        elif (answer := self.answer_soon(data, self.server)) is not None:
            self._begin()
            self._wait_for(answer)
        elif self.is_beginning(data, self.server):
            self._keep(data)
        else:
            self._leave_to_parser(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._keep_no_more()
        super().connection_lost(exc)
        if self._waited_for is not None:
            self._waited_for.cancel()

    def shutdown(self) -> None:
        if self._waited_for is not None:
            self._stopping = True
            return
        self._end_keeping()  # the parser knows how to stop in the middle of a request
        super().shutdown()

    def _begin(self) -> None:
        """Do what the parser does when a request begins and has arrived."""
        self._keep_no_more()
        self._arrived()
        self._header_bytes = 0  # line breaks before the question were none of the next one's header
        self._unset_keepalive_if_required()

    def _keep(self, beginning: bytes) -> None:
        self._begun = beginning
        self._unset_keepalive_if_required()
        self._arrived()
        if self._kept is None:  # what comes byte by byte is kept no longer
            self._kept = self.loop.call_later(self.bounds.body_seconds, self._end_keeping)

    def _keep_no_more(self) -> None:
        if self._kept is not None:
            self._kept.cancel()
            self._kept = None

    def _end_keeping(self) -> None:
        if self._begun:
            begun, self._begun = self._begun, b""
            self._leave_to_parser(begun)

    def _leave_to_parser(self, data: bytes) -> None:
        self._keep_no_more()
        super().data_received(data)

    def _wait_for(self, answer: Future[Response]) -> None:
        if answer.done():
            self._answered(answer)
            return
        self._waited_for = answer
        self.tasks.add(answer)  # type: ignore[arg-type]  # the server counts them, waits for their end, cancels them
        answer.add_done_callback(self._answered)

    def _answered(self, answer: Future[Response]) -> None:
        self.tasks.discard(answer)
        self._waited_for = None
        if answer.cancelled():
            self._hang_up()  # by whom: the caller has gone already, or the server stops and waits no longer
            return
        try:
            response = answer.result()
            fields = self._own_fields() + (CLOSE if self._stopping and not response.closes else b"")
            written = response.write(fields)
        except BaseException:
            self._hang_up()
            raise  # the event loop reports it
        if self.transport.is_closing():
            return
        self._send(written)
        if self._stopping or response.closes:
            self.transport.close()
            return
        self.flow.resume_reading()
        if self._held:
            self._read_on()

    def _send(self, response: bytes) -> None:
        self.transport.write(response)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        self.server_state.total_requests += 1

    def _own_fields(self) -> bytes:
        # The server replaces its list once a second.
        if self._default_headers is not self.server_state.default_headers:
            self._default_headers = self.server_state.default_headers
            self._fields = b"".join([b"%b: %b\r\n" % field for field in self._default_headers])
        return self._fields

    def _is_at_rest(self) -> bool:
        """Whether nothing is under way here, and more may be begun."""
        return (
            self._is_between_requests()
            and len(self.tasks) < self.max_requests
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )


def prompt_protocol(
    bounded: type[BoundedProtocol],
    *,
    beginning: bytes,
    answer_at_once: AnswerAtOnce,
    answer_soon: AnswerSoon,
    is_beginning: IsBeginning,
) -> type[PromptProtocol]:
    """Return the protocol for one server, made of the one that has its bounds."""
    members = {
        "beginning": beginning,
        "answer_at_once": staticmethod(answer_at_once),
        "answer_soon": staticmethod(answer_soon),
        "is_beginning": staticmethod(is_beginning),
    }
    return type("PromptProtocol", (PromptProtocol, bounded), members)
