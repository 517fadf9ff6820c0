"""The numbers of the published system: right, in one place, and the same in the browser."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from ex4d_core import published
from ex4d_core.camera import Intrinsics
from ex4d_core.depth.depthcrafter.pipeline import DepthCrafter
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.trajectory import DEFAULT_RADIUS, Trajectory

ROOT = Path(__file__).resolve().parents[2]
EDITOR = ROOT / "web" / "editor"


def test_the_numbers_are_those_of_the_paper_and_its_code():
    assert (published.DEPTH_NUMERATOR, published.DISPARITY_SCALE, published.DEPTH_LIMITS) == (10000, 3900, (1e-4, 1e4))
    assert (published.BORDER_DEPTH, published.MIN_ANGLE, published.DEPTH_JUMP) == (100, 2.5, 0.013)
    assert (published.PIVOT_MARGIN, published.FOCAL_RATIO, published.VISIBLE_ALPHA) == (0.15, 500 / 512, 125)
    assert (published.RENDER_NEAR, published.RENDER_FAR) == (1e-3, 1e3)
    assert (published.SAMPLER_STEPS, published.SAMPLER_CFG, published.SAMPLER_SHIFT) == (25, 5, 5)


def test_the_functions_default_to_them():
    call = inspect.signature(DepthCrafter.__call__).parameters
    names = ("steps", "guidance", "window", "overlap", "seed", "size_limit")
    assert [call[name].default for name in names] == [5, 1.0, 110, 25, 42, 1024]
    mesh = inspect.signature(build_dw_mesh).parameters
    assert (mesh["min_angle"].default, mesh["depth_jump"].default) == (published.MIN_ANGLE, published.DEPTH_JUMP)
    path = Trajectory.preset("30")
    assert (len(path), path.fps) == (published.FRAMES, published.FPS)
    assert DEFAULT_RADIUS == published.DEFAULT_RADIUS
    assert Intrinsics.default(1024, 576).fx == 1000


def arithmetic(text: str) -> float:
    """The value of a JavaScript expression of numbers, which Python reads the same."""
    tree = ast.parse(text.strip().rstrip(";"), mode="eval")
    allowed = (ast.Expression, ast.BinOp, ast.Constant, ast.Add, ast.Div, ast.Mult)
    assert all(isinstance(node, allowed) for node in ast.walk(tree)), text
    return eval(compile(tree, "javascript", "eval"))


@pytest.mark.parametrize(
    ("file", "pattern", "expected"),
    [
        ("pathDocument.js", r"export const DEFAULT_RADIUS = (.+)", (published.DEFAULT_RADIUS,)),
        ("pathDocument.js", r"frames = (\d+), fps = (\d+), radius = DEFAULT_RADIUS", (published.FRAMES, published.FPS)),
        ("trajectory.js", r"const focal = \((.+?)\) \* \w+\.width", (published.FOCAL_RATIO,)),
        ("state.js", r"const focal = \((\d+) \* width\) / (\d+)", (published.FOCAL, published.WIDTH)),
        ("renderer.js", r"\[NEAR, FAR\] = \[(.+?), (.+?)\]", (published.RENDER_NEAR, published.RENDER_FAR)),
        ("shaders.js", r"colour\.a \* 255\.0 > ([\d.]+)", (published.VISIBLE_ALPHA,)),
    ],
)
def test_the_editor_has_the_same(file, pattern, expected):
    found = re.findall(pattern, (EDITOR / file).read_text(encoding="utf-8"))
    assert found, f"{file} no longer states it as /{pattern}/"
    for match in found:
        assert tuple(map(arithmetic, [match] if isinstance(match, str) else match)) == expected


def test_no_other_module_of_the_core_writes_the_conversions_numbers_by_hand():
    told = {published.DEPTH_NUMERATOR, published.DISPARITY_SCALE, published.VISIBLE_ALPHA}
    for path in (ROOT / "ex4d_core").rglob("*.py"):
        if path.name == "published.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                assert node.value not in told, f"{path}:{node.lineno} has {node.value} of its own"
