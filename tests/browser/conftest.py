"""Runs browser scripts (tests/browser/*.mjs) against the shared server; each prints one line of JSON."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness.hosts import find_hosts, newest_frontend
from harness.server import Server

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
def chromium() -> None:
    """Skips, or fails under CI, where no browser test can run."""
    lack = missing()
    if lack is not None:
        give_up(f"BROWSER TESTS NOT RUN: {lack} is missing")


@pytest.fixture(scope="session")
def browse(chromium, server, screenshots):
    """``browse("script.mjs", *arguments)`` runs a script with the server's address; returns what it reports."""
    return runner(server)


@pytest.fixture()
def oldest_frontend(host, every_host) -> None:
    """For what is much the same on all of LiteGraph's frontends, and long: run on the oldest, unless all are asked for.

    The editor, the templates, and on the newest frontend the numbers, are always tested.
    """
    if host != find_hosts()[0] and not every_host:
        pytest.skip("run on the oldest host's frontend (--every-host: on all)")


@pytest.fixture(scope="session")
def vue_server(chromium, host, shared, tmp_path_factory):
    """The newest frontend, whose Vue nodes are tested, on the newest host."""
    if host != find_hosts()[-1] or host.release < (0, 8):
        pytest.skip("Vue nodes are tested on ComfyUI 0.8 and newer")
    frontend = newest_frontend()
    if not (frontend / "index.html").is_file():
        give_up(f"VUE NODES NOT TESTED: no frontend at {frontend} (set COMFYUI_FRONTEND_ROOT)")
    arguments = ("--front-end-root", str(frontend))
    with Server(host, tmp_path_factory.mktemp("vue"), arguments=arguments, shared=shared) as running:
        yield running


@pytest.fixture(scope="session")
def browse_vue(vue_server, screenshots):
    """``browse`` with the newest frontend."""
    return runner(vue_server)


def give_up(text: str) -> None:
    pytest.fail(text) if os.environ.get("CI", "").lower() == "true" else pytest.skip(text)


def runner(server: Server):
    def run(script: str, *arguments, timeout: float = 480) -> dict:
        command = ["node", str(HERE / script), server.url, *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{script} failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


@pytest.fixture()
def keep(screenshots, tmp_path):
    """``keep(name)`` puts the test's pictures beside the others."""

    def copy(name: str) -> None:
        for picture in tmp_path.glob("*.png"):
            (screenshots / f"{name}-{picture.name}").write_bytes(picture.read_bytes())

    return copy
