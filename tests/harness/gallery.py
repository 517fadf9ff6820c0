"""The pictures of docs/gallery.md: what the geometry of every example graph makes. Run with ``python dev.py thumbnails``.

The demo clip stands for the artist's, at the graph's own camera path, frames and depth source; DepthCrafter's place takes
the clip's exact depth.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from PIL import Image

from . import workflow

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

FOLDER = ROOT / "docs" / "gallery"
PICTURES = {
    "orbit-60": ("Re-shoot geometry only", "All in one subgraph", "Re-shoot DepthCrafter to colour and mask"),
    "any-depth": ("From any depth node",),
    "custom-path": ("Custom path from JSON",),
    "orbit-90": (
        "Re-shoot a video",
        "Re-shoot full EX-4D",
        "Few steps",
        "Re-shoot with stock samplers",
        "Small GPU (fp8 or GGUF)",
        "Long clip",
    ),
    "single-image": ("Single image to 4D",),
}
"""Each picture, and the example graphs of that geometry: they differ in what follows it."""
COLUMNS, SIDE, GAP = 5, 216, 4
SIZE, MOST = 512, 49
INK = (24, 26, 32)


def graph_of(name: str) -> dict:
    """An example graph by its name."""
    return workflow.load(ROOT / "workflows" / f"{name}.json")


def geometry_of(graph: dict) -> tuple:
    """What a graph's picture depends on."""
    return tuple(str(widgets(graph, kind)) for kind in ("LoadImage", "EX4DDepthFromImage", "EX4DCameraTrajectory"))


def widgets(graph: dict, kind: str) -> list | None:
    """The saved values of a graph's node of a class, inside subgraphs too; None where it has none."""
    return next((node["widgets_values"] for node, _ in workflow.flatten(graph).values() if node["type"] == kind), None)


def path_of(graph: dict, frames: int, radius: float):
    """The camera path of a graph's own node."""
    from ex4d_core.trajectory import Trajectory

    values = widgets(graph, "EX4DCameraTrajectory")
    assert values is not None
    preset, angle, *_, document = values
    if document:
        return Trajectory.from_json(document)
    params = {"angle": angle} if preset in ("orbit", "sweep", "arc_over") else {}
    return Trajectory.preset(preset, frames=frames, radius=radius, **params)


def depth_of(graph: dict, depth: torch.Tensor) -> torch.Tensor:
    """The demo clip's depth as the graph's depth source hands it on."""
    from ex4d_core.depth.pictures import clip_from_pictures

    values = widgets(graph, "EX4DDepthFromImage")
    if values is None:
        return depth
    kind, near, far = values
    inverse = depth.reciprocal()
    inverse = (inverse - inverse.min()) / (inverse.max() - inverse.min())
    return clip_from_pictures(inverse[..., None].expand(-1, -1, -1, 3), kind, near=near, far=far).depth


def sheet(rows: list[list[torch.Tensor]]) -> Image.Image:
    """Rows of (H, W, 3) uint8 frames."""
    step = SIDE + GAP
    result = Image.new("RGB", (COLUMNS * step - GAP, len(rows) * step - GAP), INK)
    for row, frames in enumerate(rows):
        for column, frame in enumerate(frames):
            picture = Image.fromarray(frame.numpy()).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            result.paste(picture, (column * step, row * step))
    return result


def draw(saved: dict, scene, rgb: torch.Tensor, depth: torch.Tensor) -> Image.Image:
    """Five moments of a graph: the clip, the render with its holes in grey, the draft."""
    from ex4d_core.holes.draft_fill import draft_fill
    from ex4d_core.mesh import build_dw_mesh
    from ex4d_core.render import render_color_mask

    if widgets(saved, "LoadImage") is not None:
        rgb, depth = (frames[:1].expand(MOST, *frames.shape[1:]) for frames in (rgb, depth))
    mesh = build_dw_mesh(rgb, depth_of(saved, depth), scene.intrinsics)
    color, mask, seen_depth = render_color_mask(mesh, path_of(saved, MOST, mesh.radius), out_dtype="uint8")
    moments = [round(i * (MOST - 1) / (COLUMNS - 1)) for i in range(COLUMNS)]
    color, mask, seen_depth = color[moments], mask[moments], seen_depth[moments]
    marked = torch.where((mask > 127)[..., None], color, torch.tensor(96, dtype=torch.uint8))
    draft = draft_fill(color, mask, seen_depth)
    return sheet([list(rgb[moments]), list(marked), list(draft)])


def write() -> None:
    """Draw all of them anew."""
    from ex4d_core.demo_scene import DemoScene

    scene = DemoScene(SIZE, SIZE, MOST, samples=2)
    rgb, depth = scene.clip()
    FOLDER.mkdir(exist_ok=True)
    for picture, (name, *_) in PICTURES.items():
        draw(graph_of(name), scene, rgb, depth).save(FOLDER / f"{picture}.jpg", quality=82, optimize=True)


if __name__ == "__main__":
    write()
