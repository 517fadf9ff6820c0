"""Draws the pictures of *Video to animated mesh*: a body of ours stands for the object, its made-up flaws for a generator's.

No weights have made these meshes. Part of ``python dev.py thumbnails``.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

FRAMES, EVERY, SIDE = 25, 6, 400
KIND, SEED, SPAN = "walker", 1, 0.4
TURNED = 70.0
"""Degrees by which the camera of the lowest row looks from the side."""
GENERATED = [0, 6, 12, 18, 24]


def pictures() -> list[list[np.ndarray]]:
    """Rows of (H, W, 3) uint8: the video, the generated meshes, the one that moves, the same from the side."""
    from ex4d_core.animate.bake import bake_texture
    from ex4d_core.animate.film import triangles_of
    from ex4d_core.animate.fit import fit_meshes
    from ex4d_core.animate.meshes import MeshFrames, TriangleMesh
    from ex4d_core.animate.register.sequence import register
    from ex4d_core.camera import Intrinsics, look_at
    from ex4d_core.demo_scene.bodies import DISTANCE, Body
    from ex4d_core.pixels import to_uint8
    from ex4d_core.render import Triangles, render_triangles
    from ex4d_core.trajectory import Trajectory

    body, times, lens = Body(KIND, SEED), np.linspace(0, SPAN, FRAMES), Intrinsics.from_fov(34.0, SIDE, SIDE)
    rest, faces = body.surface(90)
    points = torch.from_numpy(np.stack([body.moved(rest, time) for time in times]).astype(np.float32))
    colors = to_uint8(torch.from_numpy(body.colors(rest).astype(np.float32)))
    still = Trajectory(np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1)))

    def film(mesh: Triangles, path: Trajectory) -> tuple[torch.Tensor, ...]:
        return render_triangles(mesh, path, lens, supersample=2, hole_color="white", out_dtype="uint8")

    video, mask, depth = film(Triangles(points, torch.from_numpy(faces), colors), still)
    made = [body.generated(float(times[n]), n) for n in range(0, FRAMES, EVERY)]
    meshes = MeshFrames(tuple(range(0, FRAMES, EVERY)), tuple(TriangleMesh(m.vertices, m.faces) for m in made))
    masks = mask.numpy() > 127
    placed = fit_meshes(meshes, masks, lens, depth=np.where(masks, depth.numpy(), 6.0))
    clip = bake_texture(register(placed.meshes).clip, video.numpy(), lens, masks=masks, size=1024).clip
    one = [torch.from_numpy((mesh.vertices / mesh.size * 1.6).astype(np.float32)) for mesh in meshes.meshes]
    generated = [
        film(
            Triangles(
                vertices[None] - vertices.mean(0) + torch.tensor([0.0, 0.0, DISTANCE]), torch.from_numpy(mesh.faces)
            ),
            Trajectory(np.eye(4, dtype=np.float32)[None]),
        )[0][0]
        for vertices, mesh in zip(one, meshes.meshes, strict=True)
    ]
    around = np.radians(TURNED)
    side = look_at((DISTANCE * np.sin(around), -0.6, DISTANCE * (1 - np.cos(around))), (0.0, 0.0, DISTANCE))
    path = Trajectory(np.tile(side.astype(np.float32), (FRAMES, 1, 1)))
    rows = [video[GENERATED], torch.stack(generated), film(triangles_of(clip), still)[0][GENERATED]]
    return [list(row.numpy()) for row in (*rows, film(triangles_of(clip), path)[0][GENERATED])]


def draw() -> tuple[Image.Image, Image.Image]:
    """The gallery's picture, and four of its parts for the thumbnail."""
    from . import gallery, thumbnails

    rows = pictures()
    whole = gallery.sheet([[torch.from_numpy(frame) for frame in row] for row in rows])
    parts = [Image.fromarray(rows[row][column]) for row, column in ((0, 1), (1, 1), (2, 3), (3, 3))]
    return whole, thumbnails.sheet(parts, ("Animated mesh", "of a video's object"))
