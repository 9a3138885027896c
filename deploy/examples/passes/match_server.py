"""A match server that lets players in by their passes: one line `PLAYER_REF PASS` each. Python 3.11 or later."""  # noqa: INP001 - a file to copy

import asyncio
import contextlib
import os

from pass_verifier import PassVerifier, Verdict

LONGEST_LINE = 4096
PATIENCE_SECONDS = 10
LOOK_EVERY_SECONDS = 1


class MatchServer:
    """Its players are those who are in, by the `sub` of their pass: the same one, coming twice, takes the old place."""

    def __init__(self, verifier: PassVerifier) -> None:
        self.verifier = verifier
        self.players: dict[str, tuple[Verdict, asyncio.StreamWriter]] = {}

    async def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let a player in or not, and keep the place until the player leaves, or is put out."""
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            line = await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS)
            # Your game knows by itself who is there; here the player says so.
            player_ref, _, text = line.decode(errors="replace").strip().partition(" ")
            verdict = await asyncio.to_thread(self.verifier.admit, text, player_ref)
            writer.write(f"{verdict.what} {verdict.reason}\n".encode())
            if verdict.what == "in":
                self.put_out(verdict.claims["sub"], "somebody_else_came")
                self.players[verdict.claims["sub"]] = verdict, writer
                while await reader.read(LONGEST_LINE):  # the game would be played here
                    pass
                if self.players.get(verdict.claims["sub"]) == (verdict, writer):
                    del self.players[verdict.claims["sub"]]
        writer.close()

    def put_out(self, subject: str, reason: str) -> None:
        """Put a player out who is in."""
        if subject in self.players:
            _, writer = self.players.pop(subject)
            writer.write(f"out {reason}\n".encode())
            writer.close()

    async def look(self) -> None:
        """Fetch what is due, and put out whose pass was made void; not for a pass that has ended, nor in an outage."""
        for failure in await asyncio.to_thread(self.verifier.refresh):
            print(f"not fetched: {failure}", flush=True)  # noqa: T201
        for subject, (verdict, _) in [*self.players.items()]:
            if self.verifier.is_void(verdict.claims):
                self.put_out(subject, "void_pass")


async def main() -> None:
    """Serve players."""
    match = MatchServer(
        PassVerifier(os.environ["GATEWAY"], issuer=os.environ["ISSUER"], audience=os.environ["AUDIENCE"])
    )
    async with await asyncio.start_server(match.welcome, "0.0.0.0", 7777, limit=LONGEST_LINE):  # noqa: S104 - for all
        while True:
            await match.look()
            await asyncio.sleep(LOOK_EVERY_SECONDS)


if __name__ == "__main__":
    asyncio.run(main())
