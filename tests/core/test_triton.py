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


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed: it comes on Linux")
def test_the_kernels_draw_what_torch_draws():
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", COMPARE], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.stdout.strip() == "equal", run.stderr[-2000:]
