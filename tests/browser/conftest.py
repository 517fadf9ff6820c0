"""Runs browser scripts (tests/browser/*.mjs) against the shared server; each prints one line of JSON."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CHROMIUM = (os.environ.get("CHROMIUM"), "/usr/lib/chromium/chromium", "/usr/bin/chromium", "/usr/bin/google-chrome")


def missing() -> str | None:
    """What a browser test needs and this machine lacks."""
    if shutil.which("node") is None:
        return "node"
    if not (ROOT / "node_modules" / "playwright-core").is_dir():
        return "playwright-core (npm install)"
    if not any(path and Path(path).exists() for path in CHROMIUM):
        return "Chromium (set CHROMIUM)"
    return None


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where scripts put pictures for people to look at."""
    folder = ROOT / "output" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def browse(server, screenshots):
    """``browse("script.mjs", *arguments)`` runs a script with the server's address; returns what it reports."""
    lack = missing()
    if lack is not None:
        text = f"BROWSER TESTS NOT RUN: {lack} is missing"
        pytest.fail(text) if os.environ.get("CI", "").lower() == "true" else pytest.skip(text)

    def run(script: str, *arguments, timeout: float = 480) -> dict:
        command = ["node", str(HERE / script), server.url, *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{script} failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run
