"""The triton backend's kernels without a GPU: Triton's interpreter draws a few pictures, in a process of its own.

On a card the whole suite of test_render.py runs with them: ``pytest tests/core/test_render.py -k triton``.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

COMPARE = """
import numpy as np
import torch

from ex4d_core import Trajectory, build_dw_mesh
from ex4d_core.render import render_color_mask

torch.set_num_threads(1)
torch.manual_seed(0)
depth = torch.full((2, 6, 7), 6.0)
depth[:, 2:4, 2:5] = 2.0
depth[1] += 0.1 * torch.rand(6, 7)
close = np.eye(4)
close[2, 3] = -1.9  # the near plane cuts the faces between the near surface and the far one
cosine, sine = np.cos(0.4), np.sin(0.4)
turned = np.array([[cosine, 0, sine, -4 * sine], [0, 1, 0, 0], [-sine, 0, cosine, 4 - 4 * cosine], [0, 0, 0, 1]])
for style in ("released", "paper"):
    mesh = build_dw_mesh(torch.rand(2, 6, 7, 3), depth, style=style, border_depth=20.0)
    path = Trajectory(np.stack([turned, close]))
    options = {"size": (15, 11)} if style == "released" else {"supersample": 2, "out_dtype": "uint8"}
    options |= {"keep_first_frame": False, "near": 0.3}
    drawn, wanted = (render_color_mask(mesh, path, backend=name, **options) for name in ("triton", "torch"))
    assert 0.02 < float((wanted[1] > 0).float().mean()) < 0.95
    assert torch.equal(drawn[1], wanted[1])
    assert torch.allclose(drawn[0].float(), wanted[0].float(), atol=1e-5)
    assert torch.allclose(drawn[2], wanted[2], rtol=1e-6)
print("equal")
"""

REMEMBER = """
import numpy as np
import torch

from ex4d_core import Trajectory, build_dw_mesh
from ex4d_core.demo_scene import DemoScene
from ex4d_core.render import recall, render_color_mask, torch_triangles
from ex4d_core.render.view import Settings
from ex4d_core.scene_memory import remember_scene

torch.set_num_threads(1)
recall.load_problem = lambda name: "left out"  # as where pictures are on a GPU
made = torch_triangles.compiled
compiled = {"plain": lambda device: None, "triton": made}
assert made(torch.device("cpu")) is not None

# Faces of all sizes, some across the picture, some in front of the near plane, over holes of a pattern.
generator = torch.Generator().manual_seed(3)
centre = torch.rand((30, 1, 2), generator=generator, dtype=torch.float64) * 50 - 5
reach = torch.tensor([2.0, 8.0, 60.0], dtype=torch.float64).repeat(10)[:, None, None]
corners = centre + reach * (torch.rand((30, 3, 2), generator=generator, dtype=torch.float64) - 0.5)
nearness = torch.rand((30, 3, 1), generator=generator, dtype=torch.float64)
nearness[::10, 0] = -1.0
placed, faces = torch.cat([corners, nearness], -1).view(-1, 3), torch.arange(90).view(30, 3)
hole = torch.rand((30, 40), generator=generator) > 0.2
settings = Settings(1e-3, 1e3, 1, False, False, torch.device("cpu"), lambda: None, lambda: None)
found = {}
for name, torch_triangles.compiled in compiled.items():
    found[name] = torch_triangles.nearest(placed, faces, hole, settings)
assert len(found["plain"][0]) > 150 and all(torch.equal(*pair) for pair in zip(found["plain"], found["triton"]))

scene = DemoScene(30, 24, 3, camera="dolly")
rgb, depth = scene.clip()
source = Trajectory(scene.source_cameras()[0], frame_of_reference="world")
mesh = build_dw_mesh(rgb, depth, scene.intrinsics, source_camera=source)
memory = remember_scene(mesh)
path = Trajectory.preset("orbit", frames=3, angle=60, radius=mesh.radius, frame_of_reference="world")
drawn, walked = {}, {}
plain_walk = torch_triangles._blocked
for name, torch_triangles.compiled in compiled.items():
    seen = walked[name] = []
    torch_triangles._blocked = lambda *all: seen.append(plain_walk(*all)) or seen[-1]
    drawn[name] = render_color_mask(mesh, path, memory=memory, backend="torch", keep_first_frame=False)
blocked = torch.cat(walked["plain"])
assert torch.equal(blocked, torch.cat(walked["triton"])) and 5 < int(blocked.sum()) < len(blocked) - 5
for one, other in zip(drawn["plain"], drawn["triton"]):
    assert torch.allclose(one, other, atol=1e-6)
print("equal")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed: it comes on Linux")
@pytest.mark.parametrize("program", [COMPARE, REMEMBER], ids=["draw", "fill from memory"])
def test_the_kernels_do_what_torch_does(program):
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.stdout.strip() == "equal", run.stderr[-2000:]
