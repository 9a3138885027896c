"""`helm test`: a pod that runs `ownership-gateway doctor` as the gateway would run."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helm.rendering import CALLER, CHART, SCENARIOS, SERVICE, SIDECAR, Document, Helm, RefusedError, merged

_SANDBOX: Document = {"config": {"sandbox": True, "callers": [CALLER]}}
_COMMAND = Path(sys.executable).with_name("ownership-gateway")


def _doctor(helm: Helm, values: Document | Path = SERVICE) -> Document:
    pod: Document = helm.render(values, tests="alone").one("Pod")
    return pod


@pytest.mark.parametrize(
    "scenario", [one for one in SCENARIOS if one.name.startswith("service")], ids=lambda one: one.name
)
def test_it_has_what_the_gateway_has(helm: Helm, scenario: Path) -> None:
    """Image, environment, Secrets and rights, and how names are looked up: else it would test something else."""
    gateway, ours = helm.render(scenario), _doctor(helm, scenario)["spec"]

    (container,) = ours["containers"]
    beside = {"startupProbe", "livenessProbe", "readinessProbe", "ports"}
    assert container == {
        **{key: value for key, value in gateway.gateway().items() if key not in beside},
        "name": "doctor",
        "args": ["doctor"],
    }
    theirs = gateway.pod()["spec"]
    only_there = {"containers", "topologySpreadConstraints", "terminationGracePeriodSeconds", "priorityClassName"}
    assert ours == {
        **{key: value for key, value in theirs.items() if key not in only_there},
        "containers": [container],
        "restartPolicy": "Never",
        "activeDeadlineSeconds": 120,
    }


def test_no_question_comes_to_it(helm: Helm) -> None:
    """No Service, budget or policy of the gateway's selects it; it lasts a moment, and nothing in it listens."""
    labels = _doctor(helm)["metadata"]["labels"].items()

    selectors = [
        document["spec"]["selector"].get("matchLabels", document["spec"]["selector"])
        for document in helm.render().documents
        if "selector" in document.get("spec", {})
    ]
    assert len(selectors) == 4
    assert not any(selector.items() <= labels for selector in selectors)


def test_it_may_go_where_the_gateway_may_go(helm: Helm) -> None:
    """A network policy that keeps the gateway from its store fails the test, too."""
    ours = helm.render(tests="alone").one("NetworkPolicy")["spec"]

    assert ours["egress"] == helm.render().one("NetworkPolicy")["spec"]["egress"]
    assert ours["podSelector"]["matchLabels"].items() <= _doctor(helm)["metadata"]["labels"].items()
    assert "ingress" not in ours
    assert ours["policyTypes"] == ["Ingress", "Egress"]


def test_its_network_policy_is_there_before_it(helm: Helm) -> None:
    """Helm makes what has the lower weight first."""
    both = helm.render(tests="alone")

    weights = [
        int(both.one(kind)["metadata"]["annotations"]["helm.sh/hook-weight"]) for kind in ("NetworkPolicy", "Pod")
    ]
    assert weights == sorted(set(weights))


def test_everything_of_it_is_made_by_helm_test_alone(helms: dict[str, Helm]) -> None:
    """An installation makes nothing that carries this annotation, and each Helm knows it."""
    for helm in helms.values():
        hooks = [
            document["metadata"]["annotations"]["helm.sh/hook"] for document in helm.render(tests="alone").documents
        ]
        assert hooks == ["test", "test"]


def test_it_has_labels_and_annotations_of_its_own(helm: Helm) -> None:
    """Beside those of pods, by which others know the gateway."""
    values = {"podLabels": {"redis": "yes"}, "doctor": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}

    metadata = _doctor(helm, merged(SERVICE, values))["metadata"]

    assert (metadata["labels"]["redis"], metadata["labels"]["a"], metadata["annotations"]["c"]) == ("yes", "b", "d")


@pytest.mark.parametrize("values", [merged(SERVICE, {"doctor": {"enabled": False}}), SIDECAR], ids=["off", "sidecar"])
def test_there_is_none(helm: Helm, values: Document) -> None:
    """It can be turned off, and a sidecar's pod is the game server's."""
    with pytest.raises(RefusedError, match="could not find template"):
        helm.render(values, tests="alone")


def _run(helm: Helm, values: Document, directory: Path) -> subprocess.CompletedProcess[str]:
    (container,) = _doctor(helm, values)["spec"]["containers"]
    environ = helm.render(values).environ(container, directory)
    return subprocess.run([_COMMAND, *container["args"]], env=environ, capture_output=True, text=True, check=False)


def test_it_is_content_with_a_gateway_that_works(helm: Helm, tmp_path: Path) -> None:
    """Really run, with the environment and the configuration that are rendered."""
    done = _run(helm, _SANDBOX, tmp_path)

    assert done.returncode == 0, done.stdout
    assert "the sandbox answers, nothing is real" in done.stdout


def test_it_fails_where_the_gateway_would(helm: Helm, tmp_path: Path) -> None:
    """Here the key is in no file: the pod ends with an error, and so does `helm test`."""
    values = merged(SERVICE, {"secrets": {"sellerKey": {"existingSecret": "", "file": str(tmp_path / "missing")}}})
    (container,) = _doctor(helm, values)["spec"]["containers"]
    environ = helm.render(values).environ(container, tmp_path)
    environ["OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE"] = str(tmp_path / "missing")

    done = subprocess.run([_COMMAND, *container["args"]], env=environ, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE" in done.stdout


def test_the_manifests_without_helm_have_none() -> None:
    """It is for those with Helm."""
    files = (CHART.parents[1] / "deploy" / "kubernetes").glob("*.yaml")

    kinds = {document["kind"] for file in files for document in yaml.safe_load_all(file.read_text()) if document}
    assert "Pod" not in kinds
