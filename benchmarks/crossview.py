"""Our render beside CrossViewWarp's own warp, of the same clip along the same cameras, against the demo scene's exact truth.

    git clone https://github.com/cseti007/ComfyUI-CrossViewWarp
    python benchmarks/crossview.py --checkout ComfyUI-CrossViewWarp [--size 512] [--frame 24]

The checkout's function runs as it is, with the settings of its node: a splat of two pixels to each side, painter's order. Both
get the same exact depth. A first call carries pixel numbers in place of colours, so that for every pixel it shows the depth of
what it shows is known; the second carries the colours. Sky is left out on both sides: the warp drops the farthest half per cent
of depths, and in the demo scene that is all of the sky.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from ex4d_core.camera import invert_pose
from ex4d_core.demo_scene import DemoScene
from ex4d_core.demo_scene.truth import SAME_SURFACE, look_up
from ex4d_core.mesh import build_dw_mesh, unproject
from ex4d_core.render import render_color_mask
from ex4d_core.trajectory import Trajectory

ANGLES = (15.0, 30.0, 45.0, 60.0, 90.0)
SKY = 59.0
"""Depth of the demo scene's sky, about; what lies beyond is left out."""
SPLAT = 2
"""What the node passes: the warp paints a square of 5 x 5 pixels for each of the source's."""
OURS = {"released": ("released", 1), "paper": ("paper", 1), "paper, supersample 2": ("paper", 2)}


def load_checkout(folder: Path) -> ModuleType:
    """The checkout's module, by its path."""
    file = folder / "crossview_warp_node.py"
    if not file.is_file():
        sys.exit(f"{file} is not there; give a checkout of cseti007/ComfyUI-CrossViewWarp.")
    spec = importlib.util.spec_from_file_location("crossview_warp_node", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def warped(
    warp, rgb: np.ndarray, depth: np.ndarray, lens, pose: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The checkout's picture (H, W, 3), where it shows something (H, W) bool, and the depth of that (H, W)."""
    height, width = depth.shape
    target = np.linalg.inv(pose)
    common = (depth.astype(np.float64), np.eye(4), target, lens.fx, SPLAT, lens.cx, lens.cy)
    number = np.arange(height * width).reshape(height, width)
    numbers = np.stack([number >> 16, (number >> 8) & 255, number & 255], -1).astype(np.uint8)
    shown = warp(numbers, *common).astype(np.int64)
    which = (shown[..., 0] << 16) | (shown[..., 1] << 8) | shown[..., 2]
    seen = which < height * width  # the hole colour is a number beyond every pixel's
    points = unproject(torch.from_numpy(depth), lens, 0.5).numpy().reshape(-1, 3)
    z = (points @ pose[2, :3] + pose[2, 3]).reshape(-1)
    return warp(rgb, *common), seen, np.where(seen, z[np.where(seen, which, 0)], 0.0)


def judge(color: np.ndarray, seen: np.ndarray, depth: np.ndarray, truth: dict[str, np.ndarray]) -> dict[str, float]:
    """Shares in per cent of what their words say, PSNR in dB."""
    counted = truth["depth"] < SKY
    visible, shown = truth["visible"] & counted, seen & counted
    right = visible & shown & (np.abs(depth / truth["depth"] - 1) < SAME_SURFACE)
    through = shown & (depth > truth["depth"] * (1 + SAME_SURFACE))
    error = (color.astype(np.float64) - truth["color"]) ** 2
    share = lambda part, whole: 100 * part.sum() / max(1, whole.sum())  # noqa: E731
    return {
        "psnr": 10 * math.log10(255**2 / error[visible & shown].mean()),
        "psnr_right": 10 * math.log10(255**2 / error[right].mean()),
        "lost": share(visible & ~shown, visible),
        "through": share(through, shown),
        "hole": share(~shown & counted, counted),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frame", type=int, default=24, help="of 49 (default 24)")
    args = parser.parse_args()
    warp = load_checkout(args.checkout)._warp_frame
    scene = DemoScene(args.size, args.size, 49, samples=2)
    rgb, depth = scene.frame(args.frame, np.eye(4))
    lens = scene.intrinsics
    meshes = {style: build_dw_mesh(rgb[None], depth[None], lens, style=style) for style in ("released", "paper")}
    print("| azimuth | picture | seen pixels, dB | on the right surface, dB | lost % | see-through % | holes % |")
    print("|---|---|---|---|---|---|---|")
    for angle in ANGLES:
        path = Trajectory.preset("orbit", frames=2, radius=meshes["paper"].radius, angle=angle)
        pose = path.world_to_camera[1].astype(np.float64)
        true_color, true_depth = scene.frame(args.frame, pose)
        _, visible = look_up(rgb, depth, true_depth, pose @ invert_pose(np.eye(4)), lens)
        truth = {"color": true_color.numpy(), "depth": true_depth.numpy(), "visible": visible.numpy()}
        rows = [("CrossViewWarp", judge(*warped(warp, rgb.numpy(), depth.numpy(), lens, pose), truth))]
        for name, (style, samples) in OURS.items():
            color, mask, z = render_color_mask(
                meshes[style],
                Trajectory(pose[None]),
                supersample=samples,
                hole_color="magenta",
                keep_first_frame=False,
                out_dtype="uint8",
            )
            rows.append((f"ours, {name}", judge(color[0].numpy(), mask[0].numpy() > 0, z[0].numpy(), truth)))
        for name, found in rows:
            values = (found["psnr"], found["psnr_right"], found["lost"], found["through"], found["hole"])
            print(f"| {angle:g} | {name} | " + " | ".join(f"{value:.1f}" for value in values) + " |")


if __name__ == "__main__":
    main()
