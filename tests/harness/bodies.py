"""Meshes of other programs, as tests need them."""

from __future__ import annotations

import numpy as np
import trimesh

from ex4d_core.animate.meshes import MeshClip


def bending_ball(frames: int, fps: float) -> MeshClip:
    """A ball whose every vertex has a colour and a way of its own."""
    base = trimesh.creation.icosphere(subdivisions=2)
    moved = np.stack([base.vertices + 0.2 * np.sin(base.vertices[:, [1, 2, 0]] + t) for t in range(frames)])
    return MeshClip(moved, base.faces, colors=(base.vertices + 1) / 2, fps=fps)
