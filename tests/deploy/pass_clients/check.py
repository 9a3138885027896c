"""Check the passes on standard input.

Lines are `now TAB refresh`, or `now TAB admit TAB player TAB pass`, the last two in base64.
"""

# ruff: noqa: T201 - it prints its answers

import base64
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "deploy" / "examples" / "passes"))

from pass_verifier import PassVerifier  # type: ignore[import-not-found]  # a file to copy, beside no package

clock = [0.0]
gateway, issuer, audience = sys.argv[1:]
verifier = PassVerifier(gateway, issuer=issuer, audience=audience, now=lambda: clock[0])
for line in sys.stdin:
    now, what, *rest = line.rstrip("\n").split("\t")
    clock[0] = float(now)
    if what == "refresh":
        print("refreshed", len(verifier.refresh()), flush=True)
        continue
    player, text = (base64.b64decode(one).decode() for one in rest)
    verdict = verifier.admit(text, player or None)
    print(verdict.what, verdict.reason, verdict.claims.get("sub", ""), flush=True)
