"""Writes each script in the workflows into a file of its own, for shellcheck."""  # noqa: INP001 - a script

import re
import sys
from pathlib import Path

import yaml


def main(directory: str, *workflows: str) -> None:
    """Write DIRECTORY/WORKFLOW-JOB-STEP.sh for each step that runs something, as GitHub would run it."""
    for workflow in map(Path, workflows):
        for job_name, job in yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].items():
            for number, step in enumerate(job["steps"]):
                if script := step.get("run"):
                    shell = re.sub(r"\$\{\{.*?\}\}", "VALUE", script)
                    file = Path(directory) / f"{workflow.stem}-{job_name}-{number}.sh"
                    file.write_text(f"#!/usr/bin/env bash\nset -eo pipefail\n{shell}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
