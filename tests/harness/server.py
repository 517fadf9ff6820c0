"""A real ComfyUI server with the pack installed, in a base directory of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from .client import Client
from .hosts import ROOT, Host, web_packages

NOT_INSTALLED = shutil.ignore_patterns(".git", ".venv", "node_modules", ".cache", "output", "tests", "__pycache__")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def place(source: Path, target: Path, copy: bool) -> None:
    """Put a folder into custom_nodes unless it is there, as a link where that is possible and wanted, else as a copy."""
    if target.exists():
        return
    if not copy:
        try:
            target.symlink_to(source, target_is_directory=True)
            return
        except FileExistsError:  # a server beside this one was faster
            return
        except OSError:
            pass  # Windows refuses links to ordinary users
    shutil.copytree(source, target, ignore=NOT_INSTALLED)


class Server:
    """Starts ``main.py --cpu`` on a free loopback port; ends exactly that process.

    Args:
        host: the ComfyUI checkout.
        base: an empty folder; becomes --base-directory (models, input, output, temp, user, custom_nodes).
        folder_name: the pack's folder name inside custom_nodes; None leaves the pack out.
        copy: copy the pack instead of linking it.
        arguments: further arguments of main.py.
        environment: further environment variables.
        test_nodes: also install tests/host_nodes.
        root: the checkout whose pack and test nodes are installed.
        python_path: folders to put in front of everything on PYTHONPATH.
        shared: a folder that several servers have in common: the pack is linked there, and machine code kept. Code is
            kept by the path that a pack is imported from, and compiling it takes half a minute.
    """

    def __init__(
        self,
        host: Host,
        base: Path,
        folder_name: str | None = "ComfyUI-EX4D",
        *,
        copy: bool = False,
        arguments: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        test_nodes: bool = True,
        root: Path = ROOT,
        python_path: tuple[Path, ...] = (),
        shared: Path | None = None,
    ) -> None:
        self.host, self.base, self.folder_name = host, base, folder_name
        for name in ("custom_nodes", "input", "output", "temp", "user", "models"):
            (base / name).mkdir(parents=True, exist_ok=True)
        custom_nodes = base / "custom_nodes"
        self.machine_code = (shared or base) / "numba"
        if shared is not None:
            custom_nodes = shared / "custom_nodes" / (folder_name or "none")
            custom_nodes.mkdir(parents=True, exist_ok=True)
            paths = base / "shared.yaml"
            paths.write_text(json.dumps({"shared": {"custom_nodes": str(custom_nodes)}}), encoding="utf-8")
            arguments = (*arguments, "--extra-model-paths-config", str(paths))
        if folder_name is not None:
            place(root, custom_nodes / folder_name, copy)
        if test_nodes:
            place(root / "tests" / "host_nodes", custom_nodes / "ex4d_test_nodes", copy)
        self.arguments, self.environment, self.python_path = arguments, environment or {}, python_path
        self.log_path = base / "server.log"
        self.process: subprocess.Popen | None = None
        self.url = ""

    @property
    def input(self) -> Path:
        return self.base / "input"

    @property
    def output(self) -> Path:
        return self.base / "output"

    @property
    def client(self) -> Client:
        return Client(self.url)

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def start(self, timeout: float = 180) -> Server:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, str(self.host.path / "main.py"), "--cpu", "--listen", "127.0.0.1"]
        command += ["--port", str(port), "--base-directory", str(self.base)]
        command += ["--database-url", "sqlite:///:memory:", "--disable-auto-launch", "--disable-api-nodes"]
        web = web_packages(self.host)
        # The repository must never be on the server's path: ComfyUI has a top-level module "nodes" of its own.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
        environment["NUMBA_CACHE_DIR"] = str(self.machine_code)
        search = [*self.python_path, *([web] if web is not None else [])]
        if search:
            environment["PYTHONPATH"] = os.pathsep.join(map(str, search))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments],
                cwd=self.host.path,
                env=environment | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + timeout
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"ComfyUI {self.host.version} did not start:\n{self.log()[-6000:]}")
            time.sleep(0.2)
        return self

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/queue", timeout=5) as response:
                return response.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(15)
        self.process = None

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *exception) -> None:
        self.stop()
