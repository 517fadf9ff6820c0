"""What the CI script refuses before it installs or runs anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness.hosts import NEXT_RELEASE

ROOT = Path(__file__).resolve().parents[2]
BASH = shutil.which("bash")
STANDING_IN = ("python3", "node", "npm", "chromium", "apt-get")
"""Programs that do nothing here, so that a run which is not refused ends at once."""
pytestmark = pytest.mark.skipif(BASH is None or os.name == "nt", reason="there is no bash")


def checkout(path: Path, version: str) -> Path:
    path.mkdir(parents=True)
    (path / "main.py").touch()
    (path / "comfyui_version.py").write_text(f'# This file is generated.\n\n__version__ = "{version}"\n')
    return path


def ci(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """.ci/run in a home folder of its own, where it finds nothing but programs that say their arguments."""
    programs = tmp_path / "programs"
    programs.mkdir(exist_ok=True)
    for name in STANDING_IN:
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*"\n')
        (programs / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COMFYUI", "PYTHON"))}
    kept |= {"HOME": str(tmp_path), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", **environment}
    return subprocess.run([str(BASH), str(ROOT / ".ci" / "run")], env=kept, capture_output=True, text=True, timeout=60)


def test_the_two_releases_that_the_tests_are_for_are_taken(tmp_path):
    checkout(tmp_path / "comfy" / "ComfyUI", "0.3.64")
    checkout(tmp_path / "comfy" / "ComfyUI-next", NEXT_RELEASE)
    done = ci(tmp_path)
    assert done.returncode == 0 and "python3 dev.py test" in done.stdout, done


@pytest.mark.parametrize("named", [False, True], ids=["in its place", "named by COMFYUI_NEXT_PATH"])
def test_another_newer_release_is_refused_by_the_name_of_the_wanted_one(tmp_path, named):
    checkout(tmp_path / "comfy" / "ComfyUI", "0.3.64")
    newer = checkout(tmp_path / ("elsewhere" if named else "comfy/ComfyUI-next"), "0.8.0")
    done = ci(tmp_path, **({"COMFYUI_NEXT_PATH": str(newer)} if named else {}))
    assert done.returncode == 1 and "dev.py" not in done.stdout
    assert all(part in done.stderr for part in ("FAILED", str(newer), "0.8.0", NEXT_RELEASE)), done.stderr


def test_a_missing_checkout_is_told_with_the_release_to_put_there(tmp_path):
    checkout(tmp_path / "comfy" / "ComfyUI", "0.3.64")
    done = ci(tmp_path)
    assert done.returncode == 1 and "dev.py" not in done.stdout
    assert str(tmp_path / "comfy" / "ComfyUI-next") in done.stderr and NEXT_RELEASE in done.stderr
