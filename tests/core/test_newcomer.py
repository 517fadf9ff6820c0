"""A fresh ComfyUI has neither OpenCV nor numba, diffusers nor OpenEXR: the geometry and all its pictures work there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HIDE = """
import sys

for name in ("cv2", "numba", "llvmlite", "diffusers", "OpenEXR"):
    sys.modules[name] = None
"""

CHAIN = """
from ex4d_core import build_dw_mesh, draft_fill, load_video, render_color_mask, save_video, Trajectory
from ex4d_core.demo_scene import SUBJECT, DemoScene
from ex4d_core.preview import film, path_picture, pictures, scene_file

scene = DemoScene(96, 64, 7, samples=2)
rgb, depth = scene.clip()
mesh = build_dw_mesh(rgb, depth, scene.intrinsics)
path = Trajectory.preset("orbit", frames=7, radius=SUBJECT[2], pivot=(0, 0, SUBJECT[2]), angle=-30, intrinsics=scene.intrinsics)
color, mask, seen_depth = render_color_mask(mesh, path)
draft = draft_fill(color, mask, seen_depth)
assert 0.3 < mask.mean() < 1 and draft.shape == (7, 64, 96, 3)
save_video("draft.mp4", draft, 15)
assert len(load_video("draft.mp4").frames) == 7

film.encode_film("render.mp4", film.side_by_side(film.small_frames(color), film.small_frames(mask)), 15)
film.encode_film("depth.mp4", film.colored_depth(depth), 15)
large = film.occlusion_overlay(rgb[0].repeat(9, 9, 1), mesh.quad_face_valid(0).repeat(9, 9, 1))
assert pictures.from_jpeg(pictures.jpeg(large, 95)).shape == large.shape
points, colors = path_picture.mesh_points(mesh)
assert path_picture.draw_trajectory(path, points=points, colors=colors).std() > 5
shown = scene_file.decode_preview(scene_file.encode_preview(mesh, pixels=2000))
assert shown.rgb.shape[0] == 7 and shown.rgb.std() > 10
"""

REFUSED = """
import torch
from ex4d_core import EX4DError
from ex4d_core.depth.depthcrafter import DepthCrafter

try:
    DepthCrafter.from_pretrained()
except EX4DError as error:
    assert 'pip install "diffusers' in str(error), error
else:
    raise AssertionError("DepthCrafter began without diffusers")
"""


@pytest.mark.parametrize("program", [CHAIN, REFUSED], ids=["geometry and previews", "what needs an extra"])
def test_without_any_optional_package(tmp_path, program):
    done = subprocess.run(
        [sys.executable, "-c", f"{HIDE}\nsys.path.insert(0, {str(ROOT)!r})\n{program}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
