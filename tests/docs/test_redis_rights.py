"""The rights of the Redis user are the same wherever they stand, and those that are used."""

import re
from typing import Final

import pytest

from service.cache.keys import SCHEMA_VERSION
from service.redis.acl import COMMANDS, FOR_A_CLUSTER, FOR_A_DATABASE, KEYS, as_rules
from tests.docs.pages import ROOT, section, text_of

_BESIDE_SCRIPTS: Final = {"eval", "evalsha"}
"""Commands that are sent outside of scripts: running scripts."""


def test_they_are_those_that_scripts_use() -> None:
    """The rights are the commands of the scripts, and those that are sent outside of scripts."""
    scripts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "service").rglob("*.lua"))
    used = {command.lower() for command in re.findall(r"redis\.p?call\('(\w+)'", scripts)}

    assert used | _BESIDE_SCRIPTS == set(COMMANDS)


def test_they_are_for_the_keys_that_are_used() -> None:
    """The pattern of keys holds the version of what is stored."""
    assert f"og:v{SCHEMA_VERSION}:*" == KEYS


@pytest.mark.parametrize("commands", [COMMANDS, FOR_A_DATABASE, FOR_A_CLUSTER])
def test_the_reference_has_them(commands: tuple[str, ...]) -> None:
    """The configuration reference lists the rights as rules to paste, for each kind of Redis."""
    text = section("docs/configuration.md", "Redis")

    assert f"`{as_rules(*commands)}`" in text
    assert f"`~{KEYS}`" in text


def test_the_deployment_guide_has_those_for_a_cluster() -> None:
    """The deployment guide adds the rights for Redis Cluster, which the shipped user lacks."""
    assert f"`{as_rules(*FOR_A_CLUSTER)}`" in text_of("docs/deploying.md")


def test_the_shipped_user_has_them() -> None:
    """The shipped user has the rights of a single server on these keys, and no others."""
    template = text_of("deploy/redis/users.acl.template")
    user = next(line for line in template.splitlines() if line.startswith("user ownership-gateway "))

    assert set(re.findall(r" \+(\S+)", user)) == set(COMMANDS)
    assert re.findall(r" ~(\S+)", user) == [KEYS]


def test_the_script_that_makes_the_user_explains_them() -> None:
    """The script explains every right, because an ACL file has no comments."""
    explained = text_of("deploy/redis/make-users.sh").partition("ACL file has no comments")[2].partition("set -e")[0]

    assert {command for command in COMMANDS if command not in explained} == set()
