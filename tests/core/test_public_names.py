"""``from ex4d_core import ...``: the names are there, and cost nothing until they are asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ex4d_core

ROOT = Path(__file__).resolve().parents[2]


def fresh(program: str) -> subprocess.CompletedProcess[str]:
    """Run by a Python that has imported nothing yet."""
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=240)


def test_importing_the_package_imports_nothing_else():
    program = (
        "import sys, ex4d_core\n"
        "assert 'build_dw_mesh' in dir(ex4d_core)\n"
        "heavy = {'torch', 'numpy', 'av', 'cv2', 'numba', 'PIL', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not [name for name in sys.modules if name.startswith('ex4d_core.')]\n"
    )
    assert fresh(program).returncode == 0, fresh(program).stderr


@pytest.mark.parametrize("name", ex4d_core.__all__)
def test_every_public_name_is_there(name):
    assert getattr(ex4d_core, name).__name__ == name


def test_editors_know_the_same_names():
    """The lazy table, ``__all__`` and the imports that only type checkers follow say the same."""
    told = {}
    for node in ast.walk(ast.parse((ROOT / "ex4d_core" / "__init__.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            told |= {alias.name: f".{node.module}" for alias in node.names}
    assert told == ex4d_core._HOMES and list(told) and sorted(told) == sorted(ex4d_core.__all__)


def test_an_unknown_name_is_refused_as_by_any_module():
    with pytest.raises(AttributeError, match="has no attribute 'build_mesh'"):
        ex4d_core.build_mesh  # noqa: B018
    from ex4d_core import camera  # a module of the package is no public name, and still found

    assert camera.__name__ == "ex4d_core.camera"
