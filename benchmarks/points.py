"""Points drawn as squares beside the mesh that they come from, on the demo scene: what stays open, what covers holes, PSNR.

python benchmarks/points.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ex4d_core.assets.points import points_of_mesh
from ex4d_core.demo_scene import DemoScene
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.pixels import to_uint8
from ex4d_core.pointmap.splats import draw_frame
from ex4d_core.render import render_color_mask
from ex4d_core.trajectory import Trajectory

SIDE, FRAMES, FRAME = 512, 5, 4


def main() -> None:
    """Print a row for every angle and size."""
    scene = DemoScene(SIDE, SIDE, FRAMES)
    mesh = build_dw_mesh(*scene.clip(), scene.intrinsics, style="paper")
    points = points_of_mesh(mesh)
    for angle in (15, 45):
        pose = Trajectory.preset("orbit", frames=FRAMES, radius=mesh.radius, angle=angle).world_to_camera[-1]
        path = Trajectory(np.tile(pose, (FRAMES, 1, 1)), (scene.intrinsics,) * FRAMES)
        color, mask = render_color_mask(mesh, path)[:2]
        drawn, surface = to_uint8(color[FRAME]).numpy().astype(float), mask[FRAME].numpy() > 0
        for size in (1, 2, 3, 5):
            splats = draw_frame(points, FRAME, scene.intrinsics, pose, size=size)
            error = ((drawn - splats.color)[surface & splats.mask] ** 2).mean()
            opened, over = (surface & ~splats.mask).mean(), (splats.mask & ~surface).mean()
            print(
                f"{angle} degrees, {size} px: open {opened:.1%}, over {over:.1%}, {10 * np.log10(255**2 / error):.1f} dB"
            )


if __name__ == "__main__":
    main()
