# ruff: noqa: INP001 - a command, not a package
"""Makes what follows from the chart's values and from the gateway's settings; `--check` only says what is out of date.

1. values.schema.json: the descriptions, from the comments in values.yaml; everything below `config`, from the settings.
2. README.md of the chart: its tables.
3. files/ of the chart: copies of the rules and dashboards in deploy/, because a chart can hold only what is inside it.
4. deploy/kubernetes/: the manifests for people without Helm.

Run it with the project's Python, after helm/check.sh has installed Helm: .venv/bin/python helm/generate.py
"""

import argparse
import difflib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import yaml

from service.settings.docs import documented_settings
from service.settings.games import GameSettings
from service.settings.model import CALLER, GAME, OIDC, POLICY, SECRET_FILES_OF_GAME, SINGLE, PolicySettings
from service.settings.values import POLICY as POLICY_NAME
from service.settings.values import POLICY_EXPECTED, SLUG, SLUG_EXPECTED

_Schema: TypeAlias = dict[str, Any]
_Files: TypeAlias = dict[Path, str]

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
CHART: Final = HERE / "ownership-gateway"
EXAMPLE: Final = HERE / "examples" / "game-server"
MANIFESTS: Final = ROOT / "deploy" / "kubernetes"
HELM: Final = ROOT / ".tools" / "helm" / "helm4"

# Where the gateway listens and where its secrets are: the chart sets these in the pod's environment.
_OF_THE_CHART: Final = re.compile(
    r"host|port|unix_socket|replicas|secret(_file)?|itch\.(next_)?api_key(_file)?|itch\.proxy(_file)?|passes\.key(_file)?|mail\.url(_file)?|redis\..*|relay\..*|operations\..*"
)


def main() -> int:
    """Write everything, or with `--check` nothing, and return 1 if something is out of date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something is out of date")
    check = parser.parse_args().check
    # The manifests are rendered with what comes before them.
    with tempfile.TemporaryDirectory() as directory:
        chart = Path(directory) / "helm" / CHART.name
        shutil.copytree(CHART, chart)
        shutil.copytree(EXAMPLE, Path(directory) / "helm" / "examples" / EXAMPLE.name)
        files = _of_the_chart()
        for path, text in files.items():
            target = chart / path.relative_to(CHART)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        files |= _manifests(chart, Path(directory) / "helm" / "examples" / EXAMPLE.name)
    outdated = [path for path, text in files.items() if not path.is_file() or path.read_text() != text]
    outdated += [path for path in MANIFESTS.glob("*.yaml") if path not in files]
    for path in outdated:
        print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}")  # noqa: T201 - this is a command
        if check:
            _show_difference(path, files.get(path, ""))
            continue
        if path not in files:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path])
    return 1 if check and outdated else 0


def _show_difference(path: Path, expected: str) -> None:
    found = path.read_text().splitlines() if path.is_file() else []
    lines = list(difflib.unified_diff(found, expected.splitlines(), "found", "expected", lineterm="", n=1))
    print("\n".join(lines[:40]))  # noqa: T201


def _of_the_chart() -> _Files:
    comments = dict(_comments((CHART / "values.yaml").read_text()))
    schema = json.loads((CHART / "values.schema.json").read_text())
    schema["properties"]["config"] = config_schema()
    for path, comment in comments.items():
        _at(schema, path)["description"] = comment
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    _refuse_gaps(schema, comments)
    files = {
        CHART / "values.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        CHART / "README.md": _readme(values, schema, comments),
    }
    copies = [(ROOT / "deploy/prometheus/rules.yaml", CHART / "files/rules.yaml")]
    copies += [(path, CHART / "files/dashboards" / path.name) for path in (ROOT / "deploy/grafana").rglob("*.json")]
    return files | {target: source.read_text() for source, target in copies if source.is_file()}


# The comments of values.yaml.


def _comments(text: str) -> Iterator[tuple[str, str]]:
    """Yield each value by its dotted path with the comment above it that begins with two dashes."""
    above: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- "):
            above = [stripped.removeprefix("# -- ")]
        elif stripped.startswith("#") and above:
            above.append(stripped.removeprefix("#").strip())
        elif key := re.match(r"( *)([A-Za-z0-9]+):", line):
            indent = len(key[1])
            parents = [parent for parent in parents if parent[0] < indent]
            parents.append((indent, key[2]))
            if above:
                yield ".".join(name for _, name in parents), " ".join(above)
            above = []
        else:
            above = []


def _refuse_gaps(schema: _Schema, comments: Mapping[str, str]) -> None:
    """A value that the schema knows and nobody described, or the other way round, is a mistake of ours."""
    known = {path for path in _leaves(schema, "", comments) if path not in {"global", "enabled"}}
    gaps = known.symmetric_difference(comments)
    if gaps:
        raise SystemExit(f"error: in values.yaml or in values.schema.json, not in both: {', '.join(sorted(gaps))}")


def _leaves(schema: _Schema, prefix: str, comments: Mapping[str, str]) -> Iterator[str]:
    for key, below in schema["properties"].items():
        path = prefix + key
        if "properties" in below and path not in comments:
            yield from _leaves(below, f"{path}.", comments)
        else:
            yield path


def _at(schema: _Schema, path: str) -> _Schema:
    for key in path.split("."):
        if key not in schema.get("properties", {}):
            raise SystemExit(f"error: {path} is in values.yaml, but not in values.schema.json")
        schema = schema["properties"][key]
    return schema


# The schema of `config`.


def config_schema() -> _Schema:
    """Return the schema of what operators may write below `config`, read off the gateway's own settings."""
    documented = {setting.toml: setting.doc for setting in documented_settings()}
    top = _table({})
    for key, field in SINGLE.items():
        if _OF_THE_CHART.fullmatch(key):
            continue
        group, _, name = key.rpartition(".")
        table = top["properties"].setdefault(group, _table({})) if group else top
        table["properties"][name] = _field(field.type) | {"description": documented[key]}
    # What is below `config` goes into a ConfigMap: secrets stand in files.
    public = {key: field for key, field in GAME.items() if key not in SECRET_FILES_OF_GAME}
    game = _table({k: _field(f.type) | {"description": documented[f"games.<slug>.{k}"]} for k, f in public.items()})
    game["required"] = [key for key, field in GAME.items() if field.required]
    caller = _table({k: _field(f.type) | {"description": documented[f"callers[].{k}"]} for k, f in CALLER.items()})
    caller["required"] = [key for key, field in CALLER.items() if field.required]
    top["properties"]["games"] = {
        "type": "object",
        "description": f"{GameSettings.__doc__} Slugs are {SLUG_EXPECTED}.",
        "propertyNames": {"pattern": _pattern(SLUG), "not": {"pattern": "^[0-9]+$"}},
        "additionalProperties": game,
    }
    policy = _table(
        {k: _field(f.type) | {"description": documented[f"forward_auth.<policy>.{k}"]} for k, f in POLICY.items()}
    )
    policy["required"] = [key for key, field in POLICY.items() if field.required]
    top["properties"]["forward_auth"] = {
        "type": "object",
        "description": f"{PolicySettings.__doc__} Names are {POLICY_EXPECTED}.",
        "propertyNames": {"pattern": _pattern(POLICY_NAME)},
        "additionalProperties": policy,
    }
    top["properties"]["callers"] = {"type": "array", "items": caller}
    issuer = _table({k: _field(f.type) | {"description": documented[f"oidc[].{k}"]} for k, f in OIDC.items()})
    issuer["required"] = [key for key, field in OIDC.items() if field.required]
    top["properties"]["oidc"] = {"type": "array", "items": issuer}
    return top


def _table(properties: _Schema) -> _Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _field(kind: object) -> _Schema:
    schema = msgspec.json.schema(kind)
    plain = _plain(schema, schema.pop("$defs", {}))
    return plain if isinstance(plain, dict) else {}


def _plain(schema: object, definitions: _Schema) -> object:
    """Return a schema without references, and with patterns as every JSON schema validator reads them."""
    match schema:
        case {"$ref": str(reference)}:
            return {"enum": definitions[reference.rpartition("/")[2]]["enum"]}
        case dict():
            return {
                key: _pattern(value) if key == "pattern" else _plain(value, definitions)
                for key, value in schema.items()
            }
        case list():
            return [_plain(item, definitions) for item in schema]
    return schema


def _pattern(pattern: str) -> str:
    # Go's regular expressions know neither look-ahead nor \Z.
    bare = re.sub(r"\(\?!.*?\)", "", pattern).removeprefix(r"\A").removesuffix(r"\Z")
    return f"^(?:{bare})$"


# The README's tables.


def _readme(values: Mapping[str, Any], schema: _Schema, comments: Mapping[str, str]) -> str:
    text = (CHART / "README.md").read_text()
    rows = [
        f"| `{path}` | {_default(values, path)} | {_kind(_at(schema, path))} | {_cell(comment)} |"
        for path, comment in comments.items()
    ]
    text = _between(text, "values", ["| value | default | may be | meaning |", "|---|---|---|---|", *rows])
    rows = [
        f"| `config.{setting.toml}` | `{setting.default}` | {_cell(setting.type)} | {_cell(setting.doc)} |"
        for setting in documented_settings()
        if setting.toml is not None and not _OF_THE_CHART.fullmatch(setting.toml)
    ]
    return _between(text, "config", ["| value | default | may be | meaning |", "|---|---|---|---|", *rows])


def _between(text: str, name: str, lines: list[str]) -> str:
    begin, end = f"<!-- {name}: made by helm/generate.py -->", f"<!-- end of {name} -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise SystemExit(f"error: README.md lacks {begin} or {end}")
    return "\n".join([before + begin, "", *lines, "", end]) + after


def _default(values: Mapping[str, Any], path: str) -> str:
    *groups, last = path.split(".")
    for group in groups:
        values = values[group]
    return f"`{json.dumps(values[last], ensure_ascii=False)}`"


_KINDS: Final = {
    "boolean": "true or false",
    "string": "text",
    "object": "as in Kubernetes",
    "array": "a list",
    "null": "`null`",
}


def _kind(schema: _Schema) -> str:
    """Return what a value may be, in words."""
    match schema:
        case {"enum": [*choices]}:
            words = [f"`{choice}`" for choice in choices]
        case {"anyOf": [*choices]}:
            words = [_kind(choice) for choice in choices]
        case {"type": [*types]}:
            words = [_kind({**schema, "type": kind}) for kind in types]
        case {"type": "integer", "minimum": low}:
            words = [f"a whole number from {low} to {schema['maximum']}" if "maximum" in schema else f"at least {low}"]
        case {"type": "object", "additionalProperties": {"type": "string"}}:
            words = ["names and texts"]
        case {"type": "object", "properties": _}:
            words = ["see below"]
        case _:
            words = [_KINDS[schema["type"]]]
    return " or ".join(words)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# The manifests.

_NAMESPACE: Final = "namespace-to-be-removed"
_HEADER: Final = "# Made from the Helm chart by helm/generate.py.\n"
_HEADERS: Final = {
    "configmap.yaml": """\
# Before you apply it, put in your games and callers. The caller below lets nobody in: no token has this hash.
# `ownership-gateway new-caller` prints a token and what belongs here. Games, callers and log.level are read again
# when the kubelet has written the file, a minute or so after a change. After a change of anything else:
#
#   kubectl rollout restart deployment/ownership-gateway
""",
    "deployment.yaml": """\
# It reads the seller's itch.io API key from a Secret, and follows when that changes:
#
#   kubectl create secret generic ownership-gateway --from-file=seller-key=./seller-key
""",
    "monitoring.yaml": """\
# For clusters with the Prometheus Operator only, and therefore not in kustomization.yaml.
""",
    "networkpolicy.yaml": """\
# Game servers in the gateway's own namespace may ask, Prometheus in the namespace `monitoring` may scrape.
""",
    "sidecar.yaml": """\
# An example of its own: a game server with a relay as its sidecar, a native one for Kubernetes 1.29 or later.
# It has a token instead of the seller's key, which the service in the other files, its hub, keeps in one place.
""",
}
_FILE_OF_KIND: Final = {
    "ServiceMonitor": "monitoring.yaml",
    "PrometheusRule": "monitoring.yaml",
}


def _manifests(chart: Path, example: Path) -> _Files:
    values = HERE / "kubernetes-values.yaml"
    documents: dict[str, list[str]] = {}
    for document in _render(chart, "ownership-gateway", "--values", str(values)):
        kind = yaml.safe_load(document)["kind"]
        documents.setdefault(_FILE_OF_KIND.get(kind, f"{kind.lower()}.yaml"), []).append(document)
    resources = sorted(name for name in documents if name != "monitoring.yaml")
    _helm("dependency", "update", str(example))
    documents["sidecar.yaml"] = _render(example, "game-server")
    files = {
        MANIFESTS / name: _HEADER + _HEADERS.get(name, "") + "---\n".join(parts) for name, parts in documents.items()
    }
    files[MANIFESTS / "kustomization.yaml"] = "\n".join(
        [
            _HEADER + "# kubectl apply -k deploy/kubernetes, or build on it with a kustomization of your own.",
            "apiVersion: kustomize.config.k8s.io/v1beta1",
            "kind: Kustomization",
            "resources:",
            *(f"  - {name}" for name in resources),
            "",
        ]
    )
    return files


def _render(chart: Path, release: str, *arguments: str) -> list[str]:
    """Return the documents that a chart renders, without what only Helm needs."""
    text = _helm("template", release, str(chart), "--namespace", _NAMESPACE, "--skip-tests", *arguments)
    text = re.sub(
        rf"^ +(namespace: {_NAMESPACE}|helm\.sh/chart: .*|app\.kubernetes\.io/managed-by: .*)\n",
        "",
        text,
        flags=re.MULTILINE,
    )
    text = re.sub(r"^# Source: .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"[ ]+$", "", text, flags=re.MULTILINE)
    if _NAMESPACE in text:
        raise SystemExit("error: the manifests name a namespace where it is not expected")
    return [document for document in re.split(r"^---\n", text, flags=re.MULTILINE) if document.strip()]


def _helm(*arguments: str) -> str:
    command = [str(HELM), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own arguments
    if done.returncode != 0:
        raise SystemExit(f"error: helm {arguments[0]} failed: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
