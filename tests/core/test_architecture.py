"""Who may import whom: the table of rooms in CONTRIBUTING.md is read and held against the import statements.

Imports under TYPE_CHECKING and inside functions count as much as any other: they bind two modules for a reader. The
browser's modules are held by tests/js/imports.test.mjs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sorted([*(ROOT / "ex4d_core").rglob("*.py"), *(ROOT / "nodes").rglob("*.py")])
COMFY = {
    "comfy", "comfy_api", "comfy_api_nodes", "comfy_config", "comfy_execution", "comfy_extras",
    "execution", "folder_paths", "latent_preview", "node_helpers", "nodes", "server",
}  # fmt: skip
"""Top-level modules of ComfyUI."""
EVERYTHING = "all below"


@dataclass(frozen=True)
class Import:
    """One import statement."""

    line: int
    module: tuple[str, ...]
    """Absolute: ("ex4d_core", "mesh") or ("comfy", "utils")."""
    names: tuple[str, ...]
    top_level: bool
    """Whether it runs when the file is loaded."""


def name_of(path: Path) -> tuple[str, ...]:
    """("ex4d_core", "wan", "clip"); a package is named without __init__."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


MODULES = {name_of(path): path for path in PYTHON}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """Every import statement of a file, wherever it stands."""
    package = name_of(path) if path.name == "__init__.py" else name_of(path)[:-1]

    def walk(node: ast.AST, top_level: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, tuple(alias.name.split(".")), (), top_level)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = (*start, *(node.module.split(".") if node.module else ()))
            # From nodes/, "..ex4d_core" leaves the package whose name is the folder's: what remains is ex4d_core.
            yield Import(node.lineno, module, tuple(alias.name for alias in node.names), top_level)
        inner = top_level and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inner)

    return tuple(walk(tree_of(path), True))


def targets(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, module) of every module of ours that a file imports; the version in ex4d_core's face is none."""
    for entry in imports(path):
        for name in entry.names or ("",):
            if (*entry.module, name) in MODULES:
                yield entry.line, (*entry.module, name)
            elif entry.module in MODULES and (entry.module, name) != (("ex4d_core",), "__version__"):
                yield entry.line, entry.module


def room(module: tuple[str, ...]) -> str:
    """The room of a module as CONTRIBUTING.md writes it; "" for ex4d_core's own face."""
    if module[0] == "nodes":
        return "nodes/"
    parts = module[1:3] if module[1:3] == ("wan", "host") else module[1:2]
    if not parts or parts == ("__main__",):
        return ""
    inside = "/".join(parts)
    return f"{inside}/" if (ROOT / "ex4d_core" / inside).is_dir() else f"{inside}.py"


@cache
def table() -> dict[str, tuple[str, ...]]:
    """Room -> rooms that it may import, top to bottom, as CONTRIBUTING.md has them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows: dict[str, tuple[str, ...]] = {}
    for row in text[text.index("| room |") :].split("\n\n")[0].splitlines()[2:]:
        name, _, imported = (cell.strip() for cell in row.strip("|").split("|"))
        rooms = tuple(re.findall(r"`([^`]+)`", imported))
        rows[name.strip("`")] = (EVERYTHING,) if imported == EVERYTHING else rooms
    return rows


def allowed(name: str) -> set[str]:
    """The rooms that a room may import."""
    order = list(table())
    below = set(order[order.index(name) + 1 :])
    return below if table()[name] == (EVERYTHING,) else set(table()[name])


def test_the_table_names_every_room_once_and_no_other():
    rooms = {room(module) for module in MODULES} - {""}
    assert set(table()) == rooms


def test_a_room_imports_only_rooms_below_it():
    order = list(table())
    for number, name in enumerate(order):
        assert allowed(name) <= set(order[number + 1 :]), name


def test_every_import_is_in_the_table():
    wrong = []
    for path in PYTHON:
        own = room(name_of(path))
        for line, module in targets(path):
            other = room(module)
            if own and other != own and other not in allowed(own):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {other or 'the face of ex4d_core'}")
    assert wrong == []


def test_the_table_allows_nothing_that_is_not_used():
    used = {(room(name_of(path)), room(module)) for path in PYTHON for _, module in targets(path)}
    unused = [
        (name, other) for name, others in table().items() for other in others
        if others != (EVERYTHING,) and (name, other) not in used
    ]  # fmt: skip
    assert unused == []


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach one another (Tarjan's strongly connected components)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            group = stack[stack.index(node) :]
            del stack[-len(group) :]
            if len(group) > 1 or node in graph.get(node, ()):
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return found


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}) == [["b", "c"], ["d"]]


def test_no_python_modules_import_each_other_in_a_circle():
    graph = {".".join(name): {".".join(module) for _, module in targets(path)} for name, path in MODULES.items()}
    assert sum(map(len, graph.values())) > 300
    assert circles(graph) == []


def test_only_the_host_room_and_the_nodes_import_comfyui():
    """In the core only inside functions: the pack's own process may have no ComfyUI."""
    seen = 0
    for path in PYTHON:
        own = room(name_of(path))
        for entry in imports(path):
            if entry.module and entry.module[0] in COMFY and entry.module not in MODULES:
                seen += 1
                where = f"{path.relative_to(ROOT)}:{entry.line} imports {entry.module[0]}"
                assert own == "nodes/" or (own == "wan/host/" and not entry.top_level), where
    assert seen > 20


def check_face(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), f"{path.relative_to(ROOT)}: a face says what its room is for"
    lazy = path.parent.name == "ex4d_core"
    for node in tree.body[1:]:
        plain = isinstance(node, ast.Import | ast.ImportFrom)
        names = [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
        face = names == ["__all__"]
        if lazy:
            face |= names in (["__version__"], ["_HOMES"]) or isinstance(node, ast.Expr)
            face |= isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__")
            face |= isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        assert plain or face, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_faces_hold_no_logic():
    """A docstring, imports and __all__; the core's face also its version and what imports a public name when asked."""
    faces = [path for path in PYTHON if path.name == "__init__.py"]
    assert len(faces) > 20
    for path in faces:
        check_face(path)


def test_the_pack_imports_itself_relatively():
    """The folder may have any name: an absolute import would load a second copy of every class."""
    for path in [ROOT / "__init__.py", *PYTHON]:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert (node.module or "").split(".")[0] not in {"ex4d_core", "nodes"}, f"{path}:{node.lineno}"
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
                assert "ex4d_core" not in names, f"{path}:{node.lineno}"
