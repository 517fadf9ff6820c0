"""Commands that work in ComfyUI's folder, against a real ComfyUI, with tiny weights."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.host_process import HostProcess
from harness.hosts import ROOT, web_packages

from ex4d_core.commands.flags import Parser

# ComfyUI fixes the Wan VAE's width at 96; in these runs it is the small recorded one.
SITE = """
import importlib.machinery, sys

class Small:
    def find_spec(self, name, path=None, target=None):
        if name != "comfy.ldm.wan.vae":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            full = module.WanVAE
            module.WanVAE = lambda **config: full(**{**config, "dim": 8})
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Small())
"""


@pytest.fixture(scope="session")
def small_vae(host, tmp_path_factory) -> dict[str, str]:
    """The environment of a process whose ComfyUI reads small VAEs."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(SITE)
    web = web_packages(host)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *([str(web)] if web else [])])}


@pytest.fixture(scope="session")
def ex4d(small_vae):
    """Runs the command line as users do."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, "-m", "ex4d_core", *map(str, words)]
        return subprocess.run(call, cwd=ROOT, env=small_vae, capture_output=True, text=True, timeout=250)

    return run


@pytest.fixture(scope="session")
def host_process(host, small_vae):
    """A process that has loaded ComfyUI and the pack."""
    with HostProcess(host.path, small_vae | {"OMP_NUM_THREADS": "1"}, "--cpu") as process:
        yield process


@pytest.fixture(scope="session")
def do_job(host_process, tmp_path_factory):
    """``do_job(command, flags)``: what the command line does with these flags, by that process."""
    scene = tmp_path_factory.mktemp("scene") / "scene.npz"
    return lambda name, words: host_process.do(name, job(name, words, scene))


def job(name: str, words: list[str], scene: Path) -> str:
    """The checked job that a command makes of its flags, as the process in ComfyUI's folder reads it."""
    command = importlib.import_module(f"ex4d_core.commands.{name}")
    parser = Parser(prog=name, description="")
    command.add_arguments(parser)
    args = parser.parse_args(words)
    made = command.job_of(args, str(scene)) if name == "imagine" else command.job_of(args)
    command.check_job(made)
    return made.to_json()
