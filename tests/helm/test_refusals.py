"""Values that contradict each other, are unsafe or unknown render nothing, and Helm says why."""

from typing import Any

import pytest

from tests.helm.rendering import CALLER, RELAY, SERVICE, SIDECAR, Helm, RefusedError, merged

_HELMS = pytest.mark.parametrize("major", ["3", "4"])
_REDIS = {"secrets": {"redisUrl": {"existingSecret": "redis"}, "sealingSecret": {"existingSecret": "sealing"}}}


@_HELMS
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({**SERVICE, "config": {}}, "config.callers is empty"),
        ({"config": {"callers": [CALLER]}}, "secrets.sellerKey is not set"),
        (merged(SERVICE, {"config": {"sandbox": True}}), "the sandbox never stands in for the real store"),
        (merged(SERVICE, {"secrets": {"sellerKey": {"file": "/key"}}}), "are both set: keep one"),
        (merged(SERVICE, {"secrets": {"nextSellerKey": {"existingSecret": "itch", "file": "/key"}}}), "keep one"),
        (
            merged(SERVICE, {"secrets": {"sellerKey": {"existingSecret": ""}, "nextSellerKey": {"file": "/key"}}}),
            "secrets.nextSellerKey is set, but secrets.sellerKey is not",
        ),
        (merged(SERVICE, {"secrets": {"proxy": {"existingSecret": "itch", "file": "/proxy"}}}), "keep one"),
        (merged(SERVICE, {"secrets": {"passKeys": {"file": "/keys"}}}), "secrets.sealingSecret is not set"),
        (merged(SERVICE, {"secrets": {"passKeys": {"file": "/keys"}}}), "config.passes.issuer is not set"),
        (merged(SERVICE, {"secrets": {"mailUrl": {"file": "/mail"}}}), "config.mail.from is not set"),
        (merged(SERVICE, {"config": {"sandbox": True}, "secrets": {"mailUrl": {"file": "/m"}}}), "keeps its mails"),
        (merged(SERVICE, {"config": {"sandbox": True}, "secrets": {"passKeys": {"file": "/k"}}}), "signs with a key"),
        (
            merged(SERVICE, {"config": {"sandbox": True}, "secrets": {"proxy": {"file": "/proxy"}}}),
            "config.sandbox and secrets.proxy are both set",
        ),
        (
            merged(SERVICE, {"secrets": {"nextSellerKey": {"existingSecret": "itch", "key": "seller-key"}}}),
            "secrets.nextSellerKey is the same place",
        ),
        (merged(SERVICE, {"secrets": {"redisUrl": {"file": "/url"}}}), "secrets.sealingSecret is not set"),
        (merged(SERVICE, _REDIS), "networkPolicy.redis is empty"),
        (merged(SERVICE, {"terminationGracePeriodSeconds": 14}), "at least 15 is needed"),
        (
            merged(SERVICE, {"autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 2}}),
            "autoscaling.minReplicas is greater",
        ),
        (merged(SERVICE, {"autoscaling": {"enabled": True, "targetCPU": ""}}), "name what the number of pods should"),
        (merged(SERVICE, {"ports": {"operations": 8080}}), "each needs its own"),
        (merged(SERVICE, {"podMonitor": {"enabled": True}}), "use serviceMonitor"),
        (merged(SIDECAR, {"sidecar": {"acceptKeyInPod": False}}), "sidecar.acceptKeyInPod=true"),
        (
            merged(RELAY, {"secrets": {"sellerKey": {"existingSecret": "itch"}}}),
            "sidecar.relay.url and secrets.sellerKey are both set",
        ),
        (
            merged(RELAY, {"secrets": {"redisTls": {"existingSecret": "redis"}}}),
            "sidecar.relay.url and secrets.redisTls are both set",
        ),
        (merged(RELAY, {"config": {"sandbox": True}}), "sidecar.relay.url and config.sandbox are both set"),
        (merged(RELAY, {"config": {"itch": {"rate": 5}}}), "sidecar.relay.url and config.itch are both set"),
        (merged(RELAY, {"secrets": {"relayToken": {"existingSecret": ""}}}), "secrets.relayToken is not set"),
        (merged(RELAY, {"sidecar": {"relay": {"url": ""}}}), "only a relay needs them"),
        (merged(SERVICE, {"secrets": {"relayCa": {"file": "/ca"}}}), "only a relay needs them"),
        (
            merged(SERVICE, {"sidecar": {"relay": {"url": "https://hub.example"}}}),
            "sidecar.relay.url is for sidecar mode",
        ),
        (merged(SIDECAR, {"autoscaling": {"enabled": True}}), "autoscaling is for service mode"),
        (merged(SIDECAR, {"serviceMonitor": {"enabled": True}}), "use podMonitor"),
        (merged(SIDECAR, {"config": {"console": True}}), "config.console is on, but config.callers is empty"),
    ],
)
def test_contradictions(helms: dict[str, Helm], major: str, values: dict[str, Any], said: str) -> None:
    """Each contradiction has a line that says what to do."""
    with pytest.raises(RefusedError, match=said):
        helms[major].render(values)


def test_all_contradictions_at_once(helm: Helm) -> None:
    """Helm lists every contradiction in one run."""
    with pytest.raises(RefusedError, match=r"(?s)secrets.sellerKey is not set.*config.callers is empty"):
        helm.render({})


def test_a_native_sidecar_on_an_old_cluster(helm: Helm) -> None:
    """Before 1.29 such an init container would never end, and the game server never start."""
    with pytest.raises(RefusedError, match=r"needs Kubernetes 1\.29, and this is v1\.28:"):
        helm.render(SIDECAR, kubernetes="1.28")


def test_a_plain_container_on_an_old_cluster(helm: Helm) -> None:
    """The plain container is the form for clusters before 1.29."""
    assert helm.render(merged(SIDECAR, {"sidecar": {"form": "container"}}), kubernetes="1.28").kinds() == {"ConfigMap"}


@_HELMS
@pytest.mark.parametrize(
    "changes",
    [
        {"replicas": 3},
        {"mode": "daemon"},
        {"image": {"tagg": "1"}},
        {"config": {"deadlineMs": 1000}},
        {"config": {"deadline_ms": 20}},
        {"config": {"host": "127.0.0.1"}},
        {"config": {"itch": {"api_key": "secret"}}},
        {"config": {"itch": {"next_api_key": "secret"}}},
        {"config": {"max_requests": 0}},
        {"config": {"redis": {"url": "redis://redis"}}},
        {"config": {"games": {"x-moon": {}}}},
        {"config": {"games": {"X Moon": {"id": 3}}}},
        {"config": {"games": {"3": {"id": 3}}}},
        {"config": {"games": {"x-moon": {"id": 3, "grace_seconds": 300_000}}}},
        {"config": {"callers": [{**CALLER, "token_sha256": "ogw_the-token-itself"}]}},
        {"config": {"callers": [{**CALLER, "rights": ["everything"]}]}},
        {"config": {"callers": [{"name": "lobby"}]}},
        {"runAs": {"user": 0}},
        {"ports": {"questions": 80}},
        {"secrets": {"sellerKey": {"value": "secret"}}},
        {"networkPolicy": {"callers": [{}]}},
        {"resources": "small"},
    ],
    ids=str,
)
def test_unknown_values_and_values_that_do_not_fit(helms: dict[str, Helm], major: str, changes: dict[str, Any]) -> None:
    """A typo never passes for a default."""
    with pytest.raises(RefusedError, match="schema"):
        helms[major].render(merged(SERVICE, changes))
