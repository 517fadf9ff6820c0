"""requirements.txt, which ComfyUI's Manager installs, leaves a host's packages as they are."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import hosts

ROOT = Path(__file__).resolve().parents[2]
HOSTS = hosts.find_hosts()


def names_of(lines: list[str]) -> set[str]:
    """The packages that requirement lines name, spelled alike, without those for other systems or for extras."""
    wanted = [line.split("#")[0].strip() for line in lines if "extra ==" not in line]
    found = (re.match(r"[A-Za-z0-9._-]+", line) for line in wanted)
    return {re.sub(r"[-_.]+", "-", match.group()).lower() for match in found if match}


def brought_by(host: hosts.Host) -> set[str]:
    """What a host's requirements bring, with what those need in turn, as far as it is installed here."""
    brought, waiting = set(), names_of((host.path / "requirements.txt").read_text(encoding="utf-8").splitlines())
    while waiting:
        name = waiting.pop()
        brought.add(name)
        try:
            waiting |= names_of(importlib.metadata.requires(name) or []) - brought
        except importlib.metadata.PackageNotFoundError:
            continue
    return brought


@pytest.mark.parametrize("checkout", HOSTS, ids=[host.version for host in HOSTS])
def test_every_host_brings_all_of_it(checkout):
    ours = names_of((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    assert ours <= brought_by(checkout)


def test_installing_it_beside_any_opencv_changes_nothing(tmp_path):
    """In the environment that runs both hosts. Without an index, so that whatever pip wanted to change is an error."""
    if not HOSTS:
        text = "NO COMFYUI FOUND: this environment was not made for one"
        pytest.fail(text) if os.environ.get("CI", "").lower() == "true" else pytest.skip(text)
    other = tmp_path / "opencv_python_headless-4.11.0.86.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: opencv-python-headless\nVersion: 4.11.0.86\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    listed = subprocess.run([*pip, "list"], env=environment, capture_output=True, text=True, timeout=240)
    assert re.search(r"^opencv-python-headless +4\.11\.0\.86", listed.stdout, re.M), listed.stdout + listed.stderr
    install = [
        *pip,
        "install",
        "--quiet",
        "--dry-run",
        "--no-index",
        "--report",
        "-",
        "-r",
        str(ROOT / "requirements.txt"),
    ]
    done = subprocess.run(install, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["install"] == []
