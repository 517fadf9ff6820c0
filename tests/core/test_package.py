"""The core as an installed package: what the wheel holds, the command, and what it says where something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
HIDE = "import os, sys; sys.modules.update(dict.fromkeys(os.environ.get('EX4D_HIDDEN', '').split()))"
"""A line of a .pth file, which Python runs as it starts."""
NEEDED_TO_BUILD = ("pyproject.toml", "requirements.txt", "README.md", "LICENSE")


class Environment:
    """A fresh environment with the wheel in it.

    Args:
        path: where it is made.
        wheel: what is installed, without what it asks for.
        packages: folders whose packages it sees behind its own.
    """

    def __init__(self, path: Path, wheel: Path, packages: list[str]) -> None:
        venv.EnvBuilder(symlinks=os.name != "nt").create(path)
        self.path, self.home = path, path / "home"
        self.home.mkdir()
        self.bin = path / ("Scripts" if os.name == "nt" else "bin")
        subprocess.run(
            [*PIP, "--python", str(self.bin / "python"), "install", "--quiet", "--no-index", "--no-deps", str(wheel)],
            check=True,
        )
        self.packages = Path(
            self.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
        )
        (self.packages / "behind.pth").write_text("\n".join([*packages, HIDE]), encoding="utf-8")

    def run(self, program: str, *arguments: str, hidden: str = "") -> subprocess.CompletedProcess[str]:
        """A program of the environment, run in a home folder of its own, which is empty but for what it writes there.

        Args:
            program: its name.
            arguments: of its command line.
            hidden: a package that it does not find.
        """
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NUMBA", "XDG"))}
        homes = {
            "EX4D_HIDDEN": hidden,
            "HOME": str(self.home),
            "USERPROFILE": str(self.home),
            "LOCALAPPDATA": str(self.home),
        }
        return subprocess.run(
            [str(self.bin / program), *arguments],
            cwd=self.home,
            env=outside | homes,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def files(self) -> set[Path]:
        """What lies where packages are installed, but for the bytecode that Python itself writes."""
        return {path for path in self.packages.rglob("*") if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, since building writes beside the sources."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in NEEDED_TO_BUILD:
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "ex4d_core", source / "ex4d_core", ignore=shutil.ignore_patterns("__pycache__"))
    build = [*PIP, "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(target)]
    done = subprocess.run([*build, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def alone(wheel, tmp_path_factory) -> Environment:
    """An environment without any other package."""
    return Environment(tmp_path_factory.mktemp("alone") / "env", wheel, [])


@pytest.fixture(scope="module")
def furnished(wheel, tmp_path_factory) -> Environment:
    """An environment that sees the packages of the one that runs the tests."""
    paths = sysconfig.get_paths()
    return Environment(tmp_path_factory.mktemp("furnished") / "env", wheel, [*{paths["purelib"], paths["platlib"]}])


def test_the_wheel_holds_the_whole_core_its_types_and_nothing_else(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    core = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ex4d_core").rglob("*.py")}
    assert held == core | {"ex4d_core/py.typed"}


def test_the_command_tells_its_version_and_what_it_misses(alone):
    from ex4d_core import __version__

    told = alone.run("ex4d", "--version")
    assert (told.returncode, told.stdout.strip()) == (0, __version__)
    demo = alone.run("ex4d", "demo")
    assert demo.returncode == 2 and demo.stdout == ""
    assert demo.stderr.count("\n") == 1 and "PyTorch" in demo.stderr and 'pip install "torch' in demo.stderr
    usage = alone.run("ex4d")
    assert usage.returncode == 2 and "usage: ex4d COMMAND" in usage.stderr


def test_a_demo_runs_from_another_folder_and_writes_only_there(furnished):
    before = furnished.files()
    arguments = ("--output_dir", "out", "--num_frames", "7", "--size", "64x64")
    demo = furnished.run("ex4d", "demo", *arguments, hidden="numba")  # which would compile for longer than all the rest
    assert demo.returncode == 0, demo.stderr
    assert {"color.mp4", "mask.mp4", "psnr.json"} <= {path.name for path in (furnished.home / "out").iterdir()}
    assert furnished.files() == before


def test_machine_code_goes_into_the_users_cache_folder(furnished):
    pytest.importorskip("numba")
    before = furnished.files()
    program = (
        "from ex4d_core.machine.numba_cache import njit, user_cache, _cache_folder\n"
        "assert user_cache() in _cache_folder().parents\n"
        "print(_cache_folder())"
    )
    told = furnished.run("python", "-c", program)
    assert told.returncode == 0, told.stderr
    assert furnished.home in Path(told.stdout.strip()).parents and furnished.files() == before
