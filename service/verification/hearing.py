"""One question on its way to a verdict.

Its story asks for one thing after the other (`Inquiry`) and is told each (`Found`); it does not know where that comes
from, nor whether anybody waits for it:

1. what this process remembers, it is told at once;
2. where this process remembers nothing, what other replicas have shared, once that was read;
3. what only the store knows, once the store was asked.

So one and the same story serves those who can wait and those who can only be called back.
"""

import asyncio
from collections.abc import Callable, Generator
from typing import TypeAlias

from msgspec.structs import replace

from service.errors import NoAnswer
from service.verification.interfaces import Remembered, Unread
from service.verification.lookup import Found, Inquiries, Inquiry, Limits
from service.verification.question import Verdict

Story: TypeAlias = Generator[Inquiry, Found, Verdict]
"""Yields what it needs to be told next, and returns the verdict. What it raises is `NoAnswer`.

Silence is never told to it: where nobody knows, it ends in the middle, and nothing around a `yield` hears of it.
"""


class Hearing:
    """Has the `verdict` as soon as there is one: often from the beginning, as far as this process remembers.

    Making one begins it: what is remembered is used, and looked up again in the background when that is due.

    Until then, whoever cannot wait takes what `read_shared` returns, tells it to `go_on`, and does so again until there
    is a verdict or nothing to read; whoever can, or must, waits for `conclude`. `ended` makes the verdict of how the
    story ended, be it in silence.
    """

    def __init__(
        self, story: Story, limits: Limits, *, inquiries: Inquiries, ended: Callable[[Verdict | NoAnswer], Verdict]
    ) -> None:
        self.verdict: Verdict | None = None
        self._story = story
        self._limits = limits
        self._inquiries = inquiries
        self._ended = ended
        self._inquiry: Inquiry
        self._remembered: Remembered | None
        self._may_be_shared = False
        self._tell(None)

    def read_shared(self) -> asyncio.Future[Unread] | None:
        """Begin to read what other replicas may have shared of what is missing; None where only the store can help."""
        if not self._may_be_shared:
            return None
        self._may_be_shared = False
        return self._inquiries.read_shared(self._inquiry)

    def go_on(self, unread: Unread) -> None:
        """Go on with what was read."""
        self._remembered = self._inquiries.take_over(self._inquiry, unread)
        if self._remembered is not None:
            found = self._inquiries.use(self._inquiry, self._remembered, self._limits)
            if found is not None:
                self._tell(found)

    async def read_all_shared(self) -> Verdict | None:
        """Go on as far as replicas have shared what is missing, and return the verdict if that is enough."""
        while self.verdict is None and (reading := self.read_shared()) is not None:
            self.go_on(await reading)
        return self.verdict

    def ask_nobody(self) -> None:
        """Conclude from what is known, as if that had been asked for from the beginning."""
        self._limits = replace(self._limits, only_if_cached=True)

    async def conclude(self) -> Verdict:
        """Return the verdict, waiting for whatever it takes."""
        while (verdict := await self.read_all_shared()) is None:
            try:
                found = await self._inquiries.find_out(self._inquiry, self._remembered, self._limits)
            except NoAnswer as silence:
                self.verdict = self._ended(silence)
            else:
                self._tell(found)
        return verdict

    def _tell(self, found: Found | None) -> None:
        """Tell the story what it asked for, None to begin with, and go on as far as this process remembers."""
        try:
            while True:
                # Only None can be sent to what has not begun.
                self._inquiry = next(self._story) if found is None else self._story.send(found)
                self._remembered = self._inquiries.peek(self._inquiry)
                found = None
                if self._remembered is not None:
                    found = self._inquiries.use(self._inquiry, self._remembered, self._limits)
                if found is None:
                    # What this process remembers goes before Redis. What another replica has found since, whoever
                    # claims the look-up finds.
                    self._may_be_shared = self._remembered is None
                    return
        except StopIteration as end:
            self.verdict = self._ended(end.value)
        except NoAnswer as silence:
            self.verdict = self._ended(silence)
