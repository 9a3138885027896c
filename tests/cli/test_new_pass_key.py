"""`new-pass-key`, and `doctor` on the keys that it has made."""

import json

import pytest

from service.cli.exits import Exit
from service.passes.signing_keys import key_set
from service.secret import PassKeys
from tests.cli.conftest import Upstream
from tests.cli.terminals import run, run_in_background
from tests.gateways import SECRET
from tests.passes.conftest import ISSUER, pem


def test_a_new_key_is_one() -> None:
    """The printed text can be used as it is, and each is another."""
    results = [run("new-pass-key") for _ in range(2)]

    assert [result.exit_code for result in results] == [Exit.OK] * 2
    kids = {key.kid for result in results for key in key_set(PassKeys(result.stdout)).keys}
    assert len(kids) == 2
    assert "PRIVATE" not in results[0].stderr


@pytest.mark.parametrize("names", [["first"], ["second", "first"]])
async def test_the_doctor_names_the_keys(store: Upstream, names: list[str]) -> None:
    """The one that signs, and those that are published beside it."""
    text = "".join(map(pem, names))
    passes = {"PASSES__ISSUER": ISSUER, "PASSES__KEY": text, "SECRET": SECRET}
    environ = store.variables | {f"OWNERSHIP_GATEWAY_{name}": value for name, value in passes.items()}

    result = await run_in_background("doctor", "--json", environ=environ)

    found = next(one for one in json.loads(result.stdout)["checks"] if one["check"] == "passes")
    signing, *others = [key.kid for key in key_set(PassKeys(text)).keys]
    assert found["verdict"] == "ok"
    assert found["detail"] == f"{signing} signs" + "".join(f"; published beside it: {kid}" for kid in others)
