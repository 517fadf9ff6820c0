"""The shot view against the renderer where they could part: both styles, the rim, the near plane, the coarse grid."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import torch
from test_editor import preview_mesh

from ex4d_core.mesh import build_dw_mesh
from ex4d_core.preview.scene_file import decode_preview, encode_preview
from ex4d_core.render import render_color_mask
from ex4d_core.trajectory import Trajectory

WIDTH, HEIGHT = 160, 120
# Where the source camera stood; from the side; so low over the floor that a farther near plane would cut it.
PATH = {
    "version": 1,
    "frames": 3,
    "interpolation": "linear",
    "keyframes": [
        {"frame": 0, "position": [0, 0, 0], "target": [0, 0, 4]},
        {"frame": 1, "position": [1.2, -0.4, 0.6], "target": [0, 0, 3]},
        {"frame": 2, "position": [0.1, 0.24, 0.9], "target": [0, 0.3, 4]},
    ],
}


def box_over_floor(style: str):
    """Three frames of a floor that comes to the camera under a wall on the back plate, with a box in front of it."""
    rows = np.linspace(0, 1, HEIGHT)[:, None]
    depth = np.where(rows < 0.5, 4.0, 4.0 / (1 + 8 * (rows - 0.5))) * np.ones((1, WIDTH))
    depth[40:85, 60:110] = 1.6
    colours = np.full((3, HEIGHT, WIDTH, 3), 0.5, np.float32)
    return build_dw_mesh(
        colours, torch.from_numpy(np.stack([depth] * 3).astype(np.float32)), style=style, border_depth=4.02
    )


def masks(report: dict, name: str, step: int) -> np.ndarray:
    texts = report["masks"][name][str(step)]
    return np.stack([np.frombuffer(base64.b64decode(text), np.uint8).reshape(HEIGHT, WIDTH) > 0 for text in texts])


def test_shot_agrees_with_the_renderer_in_both_styles(browse, server):
    folder = server.base / "temp" / "ex4d_preview"
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{style}.ex4d": encode_preview(box_over_floor(style)) for style in ("released", "paper")}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    report = browse("views.mjs", json.dumps(PATH), *files)

    for name, data in files.items():
        assert decode_preview(data).header["width"] == WIDTH
        mesh = preview_mesh(data)
        trajectory = replace(Trajectory.from_json(PATH, intrinsics=mesh.intrinsics), intrinsics=None)
        _, mask, _ = render_color_mask(mesh, trajectory, keep_first_frame=False, out_dtype="uint8")
        expected = mask.numpy().reshape(3, HEIGHT, WIDTH) > 127
        drawn = masks(report, name, 1)
        overlap = [(a & b).sum() / (a | b).sum() for a, b in zip(drawn, expected)]
        print(name, [round(float(v), 4) for v in overlap])
        assert overlap[0] >= 0.999
        assert min(overlap) >= 0.99

        # The coarse grid may lose detail at edges, but stretches no sheet over a jump in depth.
        coarse = masks(report, name, 2)
        assert (coarse[1] & ~drawn[1]).mean() < 0.005
        assert coarse[1].sum() > 0.8 * drawn[1].sum()
