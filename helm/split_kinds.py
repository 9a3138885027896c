# ruff: noqa: INP001 - a command, not a package
"""Sorts rendered objects by who can check them: split_kinds.py RENDERED KUBERNETES OTHERS.json.

Those of the Prometheus Operator and of the Gateway API go to OTHERS.json, all others, one a file, into the folder
KUBERNETES.
"""

import json
import sys
from pathlib import Path

import yaml

rendered, kubernetes, others = map(Path, sys.argv[1:])
kubernetes.mkdir()
found = []
for path in sorted(rendered.glob("*.yaml")):
    for number, document in enumerate(yaml.safe_load_all(path.read_text())):
        if not document:
            continue
        if document["apiVersion"].startswith(("monitoring.coreos.com/", "gateway.networking.k8s.io/")):
            found.append(document)
        else:
            (kubernetes / f"{path.stem}-{number}-{document['kind']}.yaml").write_text(yaml.safe_dump(document))
others.write_text(json.dumps(found))
