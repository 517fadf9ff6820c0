"""Optional packages: one sentence names what is missing and the command that installs it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from ex4d_core.errors import EX4DError
from ex4d_core.machine import extras

try:
    import tomllib
except ImportError:  # Python 3.10
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture()
def optional() -> dict[str, list[str]]:
    """The extras of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["optional-dependencies"]


def test_the_sentences_name_what_the_package_offers(optional):
    everything = optional.pop("all")
    assert {name: list(packages) for name, packages in extras.EXTRAS.items()} == optional
    assert everything == [f"ex4d[{','.join(optional)}]"]
    assert {extra for _, extra in extras.MODULES.values()} == set(optional)


def test_what_is_optional_is_tested(optional):
    """torch apart, which dev.py installs of the family that ComfyUI needs."""
    wanted = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    assert {name for extra, names in optional.items() if extra not in ("all", "torch") for name in names} <= set(wanted)


def test_tools_are_pinned():
    lines = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    tools = [line for line in lines if not line.startswith("#")]
    assert len(tools) >= 8 and all(re.fullmatch(r"[\w.-]+==[\d.]+", tool) for tool in tools)


@pytest.mark.parametrize("module", extras.MODULES)
def test_a_missing_package_is_told_with_the_command(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    title, extra = extras.MODULES[module]
    with pytest.raises(
        EX4DError, match=f'^The work needs {title}, which is not installed. Run: pip install .*"{extra}"'
    ):
        extras.load(module, "The work")
    with pytest.raises(EX4DError, match="is not installed"):
        extras.check(module, "The work")


def test_a_broken_package_is_told_with_its_reason(tmp_path, monkeypatch):
    (tmp_path / "numba.py").write_text("raise RuntimeError('first\\nneeds another numpy\\n')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    with pytest.raises(EX4DError, match=r"numba, which cannot be loaded \(needs another numpy\)"):
        extras.load("numba", "The work")


def test_what_checks_a_commit_is_what_checks_everything():
    """One version of each tool, and none that changes by itself."""
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    python = set(re.findall(r'"([\w-]+==[\d.]+)"', text))
    assert python and python <= set((ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines())
    packages = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    javascript = dict(re.findall(r'"([\w-]+)@([\d.]+)"', text))
    assert javascript and javascript.items() <= packages.items()
    assert all(re.fullmatch(r"[\d.]+(-dev[\d.]+)?", version) for version in packages.values())
