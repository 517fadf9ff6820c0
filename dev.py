"""Every chore of the project behind one command; needs nothing but Python.

    python dev.py demo      make an environment in .venv, run the demo, write output/demo
    python dev.py test      make an environment in .venv, run everything CI runs
    python dev.py lint      ruff check and ruff format --check; prettier --check on the JavaScript
    python dev.py types     pyright on ex4d_core and nodes, tsc on web/
    python dev.py js        node --test tests/js
    python dev.py core      the Python tests that need no ComfyUI, in parallel, with their coverage
    python dev.py hosted    the tests in ComfyUI and in browsers, in parallel; --every-host runs each of them on each host
    python dev.py pytest    Python, ComfyUI and browser tests; further arguments go to pytest
    python dev.py training  what a training run must withstand, at length: killed 20 times, resumed, shared; --device cuda on GPUs
    python dev.py format    let ruff and prettier rewrite the files
    python dev.py hosts     show the ComfyUI checkouts the tests would use
    python dev.py docs      renew the tables of the help pages and the locale from the nodes
    python dev.py thumbnails  draw the pictures of graphs with models, the gallery's, the icon and the banner anew
    python dev.py film      record the README's moving picture: the editor in a real ComfyUI

``--no-install`` runs with the Python that runs this file, as it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON_FILES = ["__init__.py", "dev.py", "nodes", "ex4d_core", "tests", "benchmarks", ".github"]
JAVASCRIPT_FILES = ["web/**/*.js", "tests/**/*.mjs"]
# One family that installs from PyPI; a CPU-only torch beside PyPI's torchvision does not import.
TORCH = ["torch==2.11.0"]
TORCH_FAMILY = [*TORCH, "torchvision==0.26.0", "torchaudio==2.11.0"]
# What the geometric half needs: the demo installs neither diffusers nor anything of ComfyUI.
DEMO = ["-r", "requirements.txt", "numba>=0.59"]
CI = os.environ.get("CI", "").lower() == "true"
# 200 MB for one test: CI runs it, others may (pip install ray).
RAY = ["ray==2.60.0"] if CI else []
# A quarter of a core that is wanted by others too: less, and what has a time limit would not end in it.
YIELDING = ["nice", "-n", "5"] if shutil.which("nice") and os.name != "nt" else []
Result = TypeVar("Result")


def venv_python() -> Path:
    """The interpreter inside .venv."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def say(text: str) -> None:
    """One line that stands out from the tools' own output."""
    print(f"\n=== {text}", flush=True)


def run(command: list[str | Path], **keywords) -> int:
    """Run in the repository root with output passed through; returns the exit code."""
    return subprocess.run([str(part) for part in command], cwd=ROOT, **keywords).returncode


def install(python: Path, packages: list[str]) -> None:
    """pip install, ending the program when it fails.

    Python compiles what is imported when it is imported: pip would compile 18,000 files for a minute, most of them never used.
    That is once and for all only if Python may keep it: see main().
    """
    quick = ["--quiet", "--disable-pip-version-check", "--no-compile"]
    if run([python, "-m", "pip", "install", *quick, *packages]):
        sys.exit(f"Installing {' '.join(packages)} failed; the lines above say why.")


def environment(stage: str) -> Path:
    """.venv with everything ``stage`` needs ("demo" or "test"); installs only when the wish list has changed."""
    python = venv_python()
    if not python.exists():
        say(f"Making the environment {VENV}")
        venv.EnvBuilder(with_pip=True).create(VENV)
    wishes = [TORCH, DEMO] if stage == "demo" else test_wishes()
    stamp = VENV / f"installed-{stage}.txt"
    wanted = "\n".join(" ".join(packages) for packages in wishes) + "\n" + requirement_texts(wishes)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        for packages in wishes:
            say(f"Installing {' '.join(packages)}")
            install(python, packages)
        stamp.write_text(wanted, encoding="utf-8")
    return python


def test_wishes() -> list[list[str]]:
    """Packages for the tests: torch, what the newest ComfyUI checkout asks for, the pack's own, the tools; in CI also Ray."""
    wishes = [TORCH_FAMILY]
    hosts = found_hosts()
    if hosts:
        # The newest host's requirements serve older ones as well, except for the three web packages: see host_web().
        wishes.append(["-r", str(hosts[-1] / "requirements.txt")])
    return [*wishes, ["-r", "requirements.txt", "-r", "requirements-dev.txt", *RAY]]


def requirement_texts(wishes: list[list[str]]) -> str:
    """The contents of all requirement files named, so that an edit in one is noticed."""
    files = [part for packages in wishes for part in packages if part.endswith(".txt")]
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in files)


def found_hosts() -> list[Path]:
    """ComfyUI checkouts, oldest first (tests/harness/hosts.py decides)."""
    sys.path.insert(0, str(ROOT / "tests"))
    from harness import hosts

    return [host.path for host in hosts.find_hosts(fetch=True)]


def host_web(python: Path) -> int:
    """Give each ComfyUI checkout its own pinned web packages where they differ from the environment's."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from harness import hosts\n"
        "for host in hosts.find_hosts(): hosts.install_web_packages(host)\n"
        "hosts.install_newest_frontend()"
    )
    failed = run([python, "-c", code])
    if failed:
        say("The web packages of a ComfyUI checkout could not be installed.")
    return failed


def node_modules() -> bool:
    """Install the JavaScript tools once; False (or the end, in CI) where npm is missing."""
    npm = shutil.which("npm")
    if npm is None:
        missing("node and npm: type checks, JavaScript tests and browser tests")
        return False
    modules = ROOT / "node_modules"
    lock = ROOT / "package-lock.json"
    stamp = modules / ".installed"
    wanted = (ROOT / "package.json").read_text(encoding="utf-8") + (
        lock.read_text(encoding="utf-8") if lock.exists() else ""
    )
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        say("Installing the JavaScript tools")
        if run([npm, "ci" if lock.exists() else "install", "--no-audit", "--no-fund", "--loglevel=error"]):
            sys.exit("npm could not install the JavaScript tools.")
        stamp.write_text(wanted, encoding="utf-8")
    return True


def missing(what: str) -> None:
    """Something that tests need is not on this machine: one loud line, and the end under CI."""
    if CI:
        sys.exit(f"MISSING under CI: {what}")
    say(f"SKIPPED, not found: {what}")


def tool(name: str) -> list[str | Path]:
    """The command line of a tool of node_modules."""
    return [ROOT / "node_modules" / ".bin" / (f"{name}.cmd" if os.name == "nt" else name)]


def lint(python: Path) -> int:
    """Ruff's checks and formatting, and the formatting of the JavaScript."""
    files = [name for name in PYTHON_FILES if (ROOT / name).exists()]
    code = run([python, "-m", "ruff", "check", *files]) | run([python, "-m", "ruff", "format", "--check", *files])
    return code | prettier("--check")


def prettier(action: str) -> int:
    """Check ("--check") or rewrite ("--write") the JavaScript's formatting."""
    if not node_modules():
        return 0
    return run([*tool("prettier"), "--log-level=warn", action, *JAVASCRIPT_FILES])


def types(python: Path) -> int:
    """Pyright on ex4d_core and nodes, tsc on web/."""
    if not node_modules():
        return 0
    code = run([*tool("pyright"), "--pythonpath", python])
    return code | (run([*tool("tsc"), "--project", "tsconfig.json"]) if any((ROOT / "web").rglob("*.js")) else 0)


def js() -> int:
    """The JavaScript unit tests."""
    tests = sorted((ROOT / "tests" / "js").glob("*.test.*js"))
    if not tests or not node_modules():
        return 0
    return run(["node", "--test", "--test-reporter=spec", *tests])


def pytest(python: Path, arguments: list[str]) -> int:
    """Python, ComfyUI and browser tests."""
    return run([python, "-m", "pytest", "--durations=25", *arguments])


def core(python: Path, arguments: list[str]) -> int:
    """The tests of ex4d_core, a process a core; prints their coverage, and fails below the floor in pyproject.toml."""
    parallel = ["-n", "logical", "--dist", "loadfile", "--no-loadscope-reorder"]
    return pytest(python, ["tests/core", *parallel, "--cov", "--cov-report=term", *arguments])


def hosted(python: Path, arguments: list[str]) -> int:
    """The tests in real ComfyUI servers and browsers: two servers beside each other, since each waits half of its time.

    tests/conftest.py says what belongs to one server. Browsers first: files that other tests leave would be chosen by
    loaders of graphs that name none.
    """
    parallel = ["-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder"]
    return pytest(python, ["tests/browser", "tests/comfy", *parallel, *arguments])


def demo(python: Path, arguments: list[str]) -> int:
    """The project's own demo, from a procedural clip to a contact sheet."""
    arguments = arguments or ["--output_dir", str(ROOT / "output" / "demo")]
    return run([python, "-m", "ex4d_core", "demo", *arguments])


def beside(chore: Callable[[], Result]) -> Callable[[], Result]:
    """Begin something in a thread of its own; what is returned waits for its end and gives its result."""
    return ThreadPoolExecutor(1).submit(chore).result


def behind(python: Path, chore: str, arguments: list[str]) -> Callable[[], int]:
    """Begin a chore that takes what others leave of the cores; what is returned waits, shows its output and gives its code."""
    command = [*YIELDING, str(python), "dev.py", chore, "--no-install", *arguments]
    priority = subprocess.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 0
    start = time.monotonic()

    def work() -> tuple[subprocess.CompletedProcess[bytes], float]:
        pipe = subprocess.PIPE
        done = subprocess.run(command, cwd=ROOT, stdout=pipe, stderr=subprocess.STDOUT, creationflags=priority)
        return done, time.monotonic() - start

    result = beside(work)

    def ended() -> int:
        done, seconds = result()
        sys.stdout.buffer.write(done.stdout)  # as it came, whatever this console can show
        print(f"{chore} took {seconds:.0f} s beside the others", flush=True)
        return done.returncode

    return ended


def test(python: Path, arguments: list[str], install: bool) -> int:
    """All of it; every step runs even when one before has failed.

    Servers and browsers wait much of their time and then want to be quick: the core's tests and pyright have what they leave.
    """
    web = beside(lambda: host_web(python) if install else 0)
    typed, tested = behind(python, "types", []), behind(python, "core", arguments)
    steps = {
        "lint": lambda: lint(python),
        "js": js,
        "web": web,
        "hosted": lambda: hosted(python, arguments),
        "types": typed,
        "core": tested,
    }
    report = []
    for name, step in steps.items():
        say(name)
        start = time.monotonic()
        code = step()
        report.append((name, code, time.monotonic() - start))
    say("test")
    for name, code, seconds in report:
        print(f"{name:8} {'ok' if code == 0 else f'FAILED ({code})'}  {seconds:.0f} s")
    return int(any(code for _, code, _ in report))


def main() -> int:
    """Parse the command line and run one chore."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "chore",
        choices=[
            "demo",
            "test",
            "lint",
            "types",
            "js",
            "core",
            "hosted",
            "pytest",
            "format",
            "hosts",
            "training",
            "docs",
            "thumbnails",
            "film",
        ],
    )
    parser.add_argument("--no-install", action="store_true", help="use this Python as it is")
    options, rest = parser.parse_known_args()
    chore = options.chore
    # Where it is set, each of the tests' hundreds of processes would compile torch's and ComfyUI's sources anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if chore == "js":
        return js()
    if chore == "hosts":
        print("\n".join(map(str, found_hosts())) or "none")
        return 0
    browsing = chore in ("test", "hosted", "pytest", "film")
    tools = beside(lambda: browsing and node_modules())  # while pip is at work
    python = Path(sys.executable) if options.no_install else environment("demo" if chore == "demo" else "test")
    tools()
    if chore in ("hosted", "pytest", "film") and not options.no_install and host_web(python):
        return 1

    def harness(module: str) -> int:
        return run([python, "-m", f"harness.{module}"], env=os.environ | {"PYTHONPATH": str(ROOT / "tests")})

    chores = {
        "demo": lambda: demo(python, rest),
        "test": lambda: test(python, rest, install=not options.no_install),
        "lint": lambda: lint(python),
        "types": lambda: types(python),
        "core": lambda: core(python, rest),
        "hosted": lambda: hosted(python, rest),
        "pytest": lambda: pytest(python, rest),
        "training": lambda: run([python, "tests/core/training_trials.py", *rest]),
        "docs": lambda: harness("documents"),
        "thumbnails": lambda: harness("thumbnails") | harness("gallery") | harness("registry_pictures"),
        "film": lambda: harness("film"),
        "format": lambda: (
            run([python, "-m", "ruff", "check", "--fix", *PYTHON_FILES])
            | run([python, "-m", "ruff", "format", *PYTHON_FILES])
            | prettier("--write")
        ),
    }
    return chores[chore]()


if __name__ == "__main__":
    sys.exit(main())
