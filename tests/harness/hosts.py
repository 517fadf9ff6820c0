"""Which ComfyUI checkouts the tests use, and the web packages each of them pins."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLONE_URL = "https://github.com/comfyanonymous/ComfyUI"
PINNED_RELEASE = "v0.3.64"
NEXT_RELEASE = "0.33.0"
"""The newer ComfyUI that everything is tested with; .ci/run takes no other and reads it here."""
NEWEST_FRONTEND = "1.58.1"
"""Served on the newest host for the tests of Vue nodes."""
WEB_PACKAGES = ("comfyui-frontend-package", "comfyui-workflow-templates", "comfyui-embedded-docs")


@dataclass(frozen=True)
class Host:
    """A ComfyUI checkout."""

    path: Path
    version: str

    @property
    def release(self) -> tuple[int, ...]:
        """The version as numbers, to compare."""
        return tuple(int(number) for number in re.findall(r"\d+", self.version)[:3])


def is_comfyui(path: Path) -> bool:
    return (path / "main.py").is_file() and (path / "comfyui_version.py").is_file()


def read_host(path: Path) -> Host:
    match = re.search(r'__version__ = "([^"]+)"', (path / "comfyui_version.py").read_text(encoding="utf-8"))
    return Host(path, match.group(1) if match else "0")


def find_hosts(fetch: bool = False) -> list[Host]:
    """Checkouts, oldest first: the main one, and the newer one where it exists.

    The main one is COMFYUI_PATH, else the ComfyUI this pack is installed in, else ~/comfy/ComfyUI, else, with
    ``fetch``, a fresh clone of the oldest supported release. The newer one is COMFYUI_NEXT_PATH or
    ~/comfy/ComfyUI-next.
    """
    clone = ROOT / ".cache" / "ComfyUI"
    candidates = [os.environ.get("COMFYUI_PATH"), ROOT.parents[1], Path.home() / "comfy" / "ComfyUI", clone]
    found = [Path(path) for path in candidates if path and is_comfyui(Path(path))][:1]
    if not found and fetch and cloned(clone):
        found = [clone]
    newer = Path(os.environ.get("COMFYUI_NEXT_PATH") or Path.home() / "comfy" / "ComfyUI-next")
    if is_comfyui(newer) and newer not in found:
        found.append(newer)
    return sorted((read_host(path) for path in found), key=lambda host: host.release)


def cloned(target: Path) -> bool:
    """Clone the pinned release; False where there is no git or no network."""
    command = ["git", "clone", "--quiet", "--depth", "1", "--branch", PINNED_RELEASE, CLONE_URL, str(target)]
    try:
        return subprocess.run(command, timeout=300).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def pins(host: Host) -> dict[str, str]:
    """The versions of the web packages that this checkout asks for."""
    lines = (host.path / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    return {name: pinned[name].strip() for name in WEB_PACKAGES if name in pinned}


def web_packages(host: Host) -> Path | None:
    """The folder to put on PYTHONPATH for this host's web packages; None where the environment's own are right.

    One environment serves all hosts; only these packages are pinned exactly, and they live in .venv/web/<version>.
    """
    wanted = pins(host)
    try:
        if all(importlib.metadata.version(name) == version for name, version in wanted.items()):
            return None
    except importlib.metadata.PackageNotFoundError:
        pass
    return ROOT / ".venv" / "web" / wanted["comfyui-frontend-package"]


def install_web_packages(host: Host) -> None:
    """Fill ``web_packages(host)`` if it is empty."""
    folder = web_packages(host)
    if folder is None or (folder / "comfyui_frontend_package").is_dir():
        return
    packages = [f"{name}=={version}" for name, version in pins(host).items()]
    install_into(folder, packages)


def newest_frontend() -> Path:
    """The static folder of the newest frontend, for ``--front-end-root``; COMFYUI_FRONTEND_ROOT names another one."""
    given = os.environ.get("COMFYUI_FRONTEND_ROOT")
    return (
        Path(given)
        if given
        else ROOT / ".venv" / "web" / f"vue-{NEWEST_FRONTEND}" / "comfyui_frontend_package" / "static"
    )


def install_newest_frontend() -> None:
    """Fill ``newest_frontend()`` if it is empty."""
    folder = newest_frontend()
    if (folder / "index.html").is_file() or os.environ.get("COMFYUI_FRONTEND_ROOT"):
        return
    install_into(folder.parents[1], [f"comfyui-frontend-package=={NEWEST_FRONTEND}"])


def install_into(folder: Path, packages: list[str]) -> None:
    """Put packages, without what they ask for, into a folder of their own."""
    quick = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    pip = [sys.executable, "-m", "pip", "install", *quick]
    subprocess.run([*pip, "--target", str(folder), *packages], check=True)
