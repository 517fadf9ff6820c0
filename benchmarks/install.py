"""What installing the pack would change in a ComfyUI's environment, by pip's dry run; wants network, installs nothing.

    python benchmarks/install.py --comfyui ~/comfy/ComfyUI ~/comfy/ComfyUI-next [--python_version 3.13]

Run it in an environment that holds the hosts' requirements. For each host an empty environment is made in which pip finds the
packages that the host's requirements bring, with their true versions and needs, but none of their code; in it pip is asked
what ``requirements.txt`` and each extra would install: as it is, with the newest numpy that there is for
that Python, and beside two kinds of OpenCV. Ends with 1 where ``requirements.txt`` changes or brings anything.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ex4d_core.machine.extras import EXTRAS  # noqa: E402

OPENCV = ("opencv-python-headless", "opencv-contrib-python")
"""Packages that hold the same folder ``cv2``: pip lets one write over the other."""


def spelled(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(requirements: list[str]) -> set[str]:
    """Names in requirement lines, without those of extras."""
    lines = [line.split("#")[0].strip() for line in requirements if "extra ==" not in line]
    return {spelled(found.group()) for line in lines if (found := re.match(r"[A-Za-z0-9._-]+", line))}


def packages_of(host: Path) -> dict[str, str]:
    """METADATA of what a host's requirements bring, by name, as far as it is installed here."""
    found: dict[str, str] = {}
    waiting, missing = needed((host / "requirements.txt").read_text(encoding="utf-8").splitlines()), set()
    while waiting:
        name = waiting.pop()
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            missing.add(name)
            continue
        found[name] = package.read_text("METADATA") or ""
        waiting |= needed(package.requires or []) - found.keys() - missing
    print(
        f"{host.name}: {len(found)} packages; not installed here, so left out: {', '.join(sorted(missing)) or 'none'}"
    )
    return found


class Environment:
    """An empty environment that lists packages.

    Args:
        folder: where to make it.
        packages: name -> METADATA.
        python_version: for another Python than this one, whose wheels alone are looked at.
    """

    def __init__(self, folder: Path, packages: dict[str, str], python_version: str | None) -> None:
        venv.create(folder, with_pip=True, upgrade_deps=True)  # older pips ask for no other Python
        self.options = ("--python-version", python_version, "--only-binary=:all:") if python_version else ()
        self.python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        command = [self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        self.site = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
        for name, metadata in packages.items():
            self.add(name, metadata)

    def add(self, name: str, metadata: str) -> None:
        """List a package, in place of another of that name."""
        self.remove(name)
        version = re.search(r"^Version: (.+)$", metadata, re.M)
        assert version is not None
        folder = self.site / f"{name.replace('-', '_')}-{version.group(1)}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(metadata, encoding="utf-8")
        (folder / "RECORD").write_text("", encoding="utf-8")

    def remove(self, name: str) -> None:
        """List a package no more."""
        for folder in self.site.glob("*.dist-info"):
            if spelled(folder.name.partition("-")[0]) == name:
                shutil.rmtree(folder)

    def versions(self) -> dict[str, str]:
        """Name -> version of everything listed."""
        pairs = (folder.name.removesuffix(".dist-info").rsplit("-", 1) for folder in self.site.glob("*.dist-info"))
        return {spelled(name): version for name, version in pairs}

    def would_install(self, *requirements: str) -> dict[str, str]:
        """Name -> version of what pip would install."""
        command = [
            self.python,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            "--dry-run",
            "--report",
            "-",
        ]
        done = subprocess.run([*command, *self.options, *requirements], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        items = (item["metadata"] for item in json.loads(done.stdout)["install"])
        return {spelled(item["name"]): item["version"] for item in items}


def told(environment: Environment, made: dict[str, str]) -> tuple[str, str]:
    """What of it replaces a package, and what is new."""
    before = environment.versions()
    replaced = [f"{name} {before[name]} -> {version}" for name, version in made.items() if name in before]
    over = [
        f"{name} over {other}"
        for name in made
        if name in OPENCV
        for other in OPENCV
        if other in before and other != name
    ]
    new = [f"{name} {version}" for name, version in made.items() if name not in before]
    return ", ".join(replaced + over) or "nothing", ", ".join(new) or "nothing"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", nargs="+", type=Path, required=True, help="folders of ComfyUI checkouts")
    parser.add_argument("--python_version", help="ask for another Python than this one, such as 3.13")
    args = parser.parse_args()
    wanted = {"requirements.txt": ("-r", str(ROOT / "requirements.txt"))}
    wanted |= {f"[{name}]": packages for name, packages in EXTRAS.items() if name != "torch"}
    changed = 0
    for host in args.comfyui:
        packages = packages_of(host.expanduser())
        with tempfile.TemporaryDirectory() as folder:
            environment = Environment(Path(folder), packages, args.python_version)
            newest = environment.would_install("--upgrade", "--no-deps", "numpy").get(
                "numpy", environment.versions()["numpy"]
            )
            besides = {"as it is": None, f"numpy {newest}": ("numpy", newest)}
            besides |= {f"and {name}": (name, "4.11.0.86") for name in OPENCV}
            for case, more in besides.items():
                for name in OPENCV:
                    environment.remove(name)
                if more is not None:
                    environment.add(more[0], f"Metadata-Version: 2.1\nName: {more[0]}\nVersion: {more[1]}\n")
                for name, requirements in wanted.items():
                    made = environment.would_install(*requirements)
                    replaced, new = told(environment, made)
                    changed += bool(made) and name == "requirements.txt"
                    print(f"{host.name} | {case} | {name} | replaces {replaced} | brings {new}", flush=True)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
