"""Pictures of the gallery that belong to no example graph: what goes into 3D files, and what two eyes see.

The demo clip, five frames of it. Part of ``python dev.py thumbnails``.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw

FRAMES, SIZE, FACES, ANGLE, POINTS = 5, 512, 3000, 40.0, 3


def clip():
    """(scene, mesh in paper style, an orbit around it)."""
    from ex4d_core.demo_scene import DemoScene
    from ex4d_core.mesh import build_dw_mesh
    from ex4d_core.trajectory import Trajectory

    scene = DemoScene(SIZE, SIZE, FRAMES, samples=2)
    mesh = build_dw_mesh(*scene.clip(), scene.intrinsics, style="paper")
    return scene, mesh, Trajectory.preset("orbit", frames=FRAMES, radius=mesh.radius, angle=ANGLE)


def files_3d() -> list[list[torch.Tensor]]:
    """Rows of (H, W, 3) uint8 along the orbit: the faces of *Save Animated Mesh*, and the points of *Save Point Cloud*."""
    from ex4d_core.assets.points import points_of_mesh
    from ex4d_core.assets.simplify import surface_of
    from ex4d_core.pointmap.splats import draw_frame
    from ex4d_core.render import render_color_mask

    scene, mesh, path = clip()
    color, _, _ = render_color_mask(mesh, path, out_dtype="uint8")
    surface, points = surface_of(mesh, range(FRAMES), FACES), points_of_mesh(mesh)
    wires, dots = [], []
    for t, pose in enumerate(path.world_to_camera):
        seen = mesh.vertices_in_world(t).numpy()[surface.vertices] @ pose[:3, :3].T + pose[:3, 3]
        lens = scene.intrinsics
        places = seen[:, :2] / seen[:, 2:] * [lens.fx / SIZE, lens.fy / SIZE] + [lens.cx / SIZE, lens.cy / SIZE]
        before = (seen[:, 2] > 0)[surface.faces].all(axis=1) & surface.visible(t)
        picture = Image.fromarray(color[t].numpy() // 2)
        draw = ImageDraw.Draw(picture)
        for face in surface.faces[before]:
            draw.polygon((places[face] * SIZE).ravel().tolist(), outline=(235, 235, 235))
        wires.append(torch.from_numpy(np.array(picture)))
        dots.append(torch.from_numpy(draw_frame(points, t, lens, pose, size=POINTS).color))
    return [wires, dots]


def stereo_vr(side: int, gap: int) -> Image.Image:
    """Both eyes side by side, red-cyan, and VR180 side by side: one row, two, one and two tiles of a side wide."""
    from ex4d_core.stereo import Rig, lay_out, render_panorama_eyes, render_stereo

    _, mesh, path = clip()
    mesh, path = mesh.part(slice(2, 3)), path.part(slice(2, 3))
    rig = Rig(0.05, convergence=mesh.radius)
    pair = render_stereo(mesh, path, rig, out_dtype="uint8", hole_color="grey")
    eyes = render_panorama_eyes(mesh, path, rig, projection="180", size=(SIZE, SIZE), out_dtype="uint8")
    flat, red = (lay_out(pair.left.color, pair.right.color, kind)[0] for kind in ("side by side", "anaglyph"))
    vr = lay_out(eyes[0][0], eyes[1][0], "side by side")[0]
    wide = 2 * side + gap
    result = Image.new("RGB", (5 * side + 4 * gap, side), (24, 26, 32))
    for left, width, picture in ((0, wide, flat), (wide + gap, side, red), (wide + side + 2 * gap, wide, vr)):
        shown = Image.fromarray(np.asarray(picture)).resize((width, side), Image.Resampling.LANCZOS)
        result.paste(shown, (left, 0))
    return result
