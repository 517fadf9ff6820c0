"""Nothing private of a host is relied on, but under a guard that names the host where it has changed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEETS_HOSTS = sorted([*(ROOT / "nodes").glob("*.py"), *(ROOT / "ex4d_core" / "wan" / "host").rglob("*.py")])
GUARD = "internals_of_the_host"
HOSTS_MODULES = (
    "comfy",
    "comfy_api",
    "comfy_execution",
    "comfy_extras",
    "execution",
    "folder_paths",
    "nodes",
    "server",
)
BY_NAME = ("getattr", "hasattr", "setattr", "delattr")


def private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def uses(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and name of every underscored attribute or import that is not the code's own and lies under no guard."""
    found: list[tuple[int, str]] = []

    def visit(entry: ast.AST) -> None:
        if isinstance(entry, ast.With) and any(
            isinstance(item.context_expr, ast.Call) and ast.unparse(item.context_expr.func) == GUARD
            for item in entry.items
        ):
            return
        if isinstance(entry, ast.Attribute) and private(entry.attr) and ast.unparse(entry.value) not in ("self", "cls"):
            found.append((entry.lineno, entry.attr))
        if isinstance(entry, ast.Call) and ast.unparse(entry.func) in BY_NAME and len(entry.args) > 1:
            name = entry.args[1]
            if isinstance(name, ast.Constant) and private(str(name.value)):
                found.append((entry.lineno, str(name.value)))
        if isinstance(entry, ast.ImportFrom) and not entry.level and str(entry.module).split(".")[0] in HOSTS_MODULES:
            found.extend((entry.lineno, name.name) for name in entry.names if private(name.name))
        for child in ast.iter_child_nodes(entry):
            visit(child)

    visit(tree)
    return found


@pytest.mark.parametrize("path", MEETS_HOSTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_private_attribute_of_a_host_is_used_without_a_guard(path):
    assert uses(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("asked._model = model", ["_model"]),
        ("getattr(handler, '_step', 0)", ["_step"]),
        ("from comfy.sd import _load", ["_load"]),
        ("server.PromptServer.instance._queue.put(1)", ["_queue"]),
        ("self._encoded = cls._known = None", []),
        ("type(error).__name__, from_here.__dict__", []),
        ("with internals_of_the_host('windows', ''):\n    asked._model = model", []),
        ("with open('file'):\n    asked._model = model", ["_model"]),
    ],
)
def test_the_search_finds_what_it_is_for(line, found):
    assert [name for _, name in uses(ast.parse(line))] == found
