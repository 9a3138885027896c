# ruff: noqa: INP001 - a command, not a package
"""Prepares a rendered Deployment for `podman kube play`: for_podman.py NAME <rendered >prepared.

podman does what a pod says, but is no kubelet:

1. It publishes every container port on all addresses of the machine, and does not resolve their names in probes: ports
   and probes are taken out, and what the probes would ask is asked by the check.
2. It knows no `fsGroup`: the game server gets the gateway's group by `runAsGroup`.
3. It keeps an `emptyDir` as a volume of its bare name: NAME is put before it, so that two runs do not share it.
4. It waits for init containers to end, which a native sidecar never does: the check renders the plain container.
"""

import sys

import yaml  # type: ignore[import-untyped]  # it brings no types, and only plain dicts come out of it

(name,) = sys.argv[1:]
documents = [document for document in yaml.safe_load_all(sys.stdin) if document]
(deployment,) = [document for document in documents if document["kind"] == "Deployment"]
spec = deployment["spec"]["template"]["spec"]
if "initContainers" in spec:
    raise SystemExit("error: podman cannot run a native sidecar: render it with sidecar.form=container")

group = spec["securityContext"].pop("fsGroup")
for container in spec["containers"]:
    for key in ("ports", "startupProbe", "livenessProbe", "readinessProbe"):
        container.pop(key, None)
    container["securityContext"].setdefault("runAsGroup", group)
    for mount in container.get("volumeMounts", []):
        mount["name"] = mount["name"].replace("ownership-gateway", name)
for volume in spec["volumes"]:
    volume["name"] = volume["name"].replace("ownership-gateway", name)

sys.stdout.write(yaml.safe_dump_all(documents))
