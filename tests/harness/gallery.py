"""The pictures of docs/gallery.md: what the geometry of every example graph makes. Run with ``python dev.py thumbnails``.

The demo clip stands for the artist's, at the graph's own camera path, frames and depth source; DepthCrafter's place takes
the clip's exact depth, and 4DNeX's place its exact points.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image

from . import animated_picture, fourdnex_picture, more_pictures, workflow

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from ex4d_core.depth import DepthClip
    from ex4d_core.mesh import DWMesh

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
    "handheld": ("Handheld clip, steady re-shoot",),
    "bullet-time": ("Bullet time",),
    "other-models": (
        "VACE (Wan 2.1)",
        "VACE (Wan 2.2)",
        "Uni3C",
        "CrossView (LTX 2.3)",
        "CrossView (MiniMax-H3)",
        "Meridian (MiniMax-H3)",
    ),
    "animated-mesh": ("Video to animated mesh",),
    "single-image": ("Single image to 4D",),
    "fourdnex": ("Image to 4D (4DNeX)",),
    "fourdnex-shot": ("Image to 4D, re-shot with EX-4D",),
}
"""Each picture, and the example graphs of that geometry: they differ in what follows it."""
OTHERS = ("files-3d", "stereo-vr")
"""Pictures of what no graph shows (more_pictures.py)."""
CLIP = ("frames", "width", "height", "camera")
USUAL_CLIP = {"frames": 49, "width": 512, "height": 512, "camera": "locked-off"}
CAMERA = (
    *("preset", "angle", "distance", "turns", "rise", "follow", "ease", "frames", "fps", "scale", "file", "path"),
    *("base", "stabilise", "freeze", "hold", "loop"),
)
"""Widgets of a node, in the order of their saved values."""
COLUMNS, SIDE, GAP = 5, 216, 4
SIZE, MOST = 512, 49
INK = (24, 26, 32)


def graph_of(name: str) -> dict:
    """An example graph by its name."""
    return workflow.load(ROOT / "workflows" / f"{name}.json")


def geometry_of(graph: dict) -> tuple:
    """What a graph's picture depends on."""
    kinds = ("LoadImage", "EX4DDemoClip", "EX4DDepthFromImage", "EX4DSourceCamera", "EX4DCameraTrajectory")
    settings = [widgets(graph, kind) for kind in kinds]
    if settings[1] is not None:
        clip = dict(zip(CLIP, settings[1], strict=False))
        # A clip of one's own is filmed by whatever it was: only what the demo adds to that counts.
        settings[1] = [value for name, value in clip.items() if value != USUAL_CLIP[name]] or None
    return tuple(map(str, settings))


def widgets(graph: dict, kind: str) -> list | None:
    """The saved values of a graph's node of a class, inside subgraphs too; None where it has none."""
    return next((node["widgets_values"] for node, _ in workflow.flatten(graph).values() if node["type"] == kind), None)


def path_of(graph: dict, mesh):
    """The camera path of a graph's own node over a mesh, as the node makes it."""
    from ex4d_core.render import source_along
    from ex4d_core.trajectory import PRESETS, Trajectory, frames_for, laid_on

    saved = widgets(graph, "EX4DCameraTrajectory")
    assert saved is not None
    values = dict(zip(CAMERA, saved, strict=False))
    if values["path"]:
        return Trajectory.from_json(values["path"])
    preset = values["preset"]
    params = {param.name: values[param.name] for param in PRESETS[preset].params if param.name in values}
    frames = frames_for(preset, params, mesh.frames)
    path = Trajectory.preset(preset, frames=frames, radius=mesh.radius, ease=values["ease"], **params)
    return laid_on(path, values.get("base", "auto"), source_along(path, mesh))


def clip_of(graph: dict, size: int):
    """The demo clip as a graph films it, or as the others do: its scene."""
    from ex4d_core.demo_scene import DemoScene

    clip = USUAL_CLIP | dict(zip(CLIP, widgets(graph, "EX4DDemoClip") or (), strict=False))
    return DemoScene(size, size, min(clip["frames"], MOST), samples=2, camera=clip["camera"])


def depth_of(graph: dict, depth: torch.Tensor) -> torch.Tensor:
    """The demo clip's depth as the graph's depth source hands it on; MoGe's place takes the exact one too."""
    from ex4d_core.depth.pictures import clip_from_pictures

    values = widgets(graph, "EX4DDepthFromImage")
    if values is None or widgets(graph, "MoGeInference") is not None:
        return depth
    kind, near, far = values
    inverse = depth.reciprocal()
    inverse = (inverse - inverse.min()) / (inverse.max() - inverse.min())
    return clip_from_pictures(inverse[..., None].expand(-1, -1, -1, 3), kind, near=near, far=far).depth


def source_of(graph: dict, scene):
    """The exact camera of the demo clip in the place of a solved one; None where the graph asks for none."""
    from ex4d_core.trajectory import Trajectory

    if widgets(graph, "EX4DSourceCamera") is None:
        return None
    poses, lenses = scene.source_cameras()
    return Trajectory(poses, lenses, frame_of_reference="world")


def points_of(scene, depth: torch.Tensor) -> torch.Tensor:
    """(T, H, W, 3) in 0..1: the clip's exact points in the place of those that 4DNeX makes of a picture."""
    return torch.from_numpy(fourdnex_picture.points_of(depth.numpy(), scene.intrinsics)).float()


def clip_of_points(rgb: torch.Tensor, points: torch.Tensor) -> DepthClip:
    """Depth, lens and camera as *Point Map to Depth* finds them."""
    from ex4d_core.pointmap import PointMap
    from ex4d_core.pointmap.fit import fit_cameras
    from ex4d_core.pointmap.register import register
    from ex4d_core.published import NEAREST_DEPTH

    made = PointMap.from_pictures(points, rgb)
    return register(made, fit_cameras(made), near=NEAREST_DEPTH).depth


def mesh_of(saved: dict, scene, rgb: torch.Tensor, depth: torch.Tensor) -> DWMesh:
    """The mesh that a graph builds of the demo clip, from what its depth source would hand on."""
    from ex4d_core.mesh import build_dw_mesh

    style = (widgets(saved, "EX4DBuildDWMesh") or ["released"])[0]
    if widgets(saved, "EX4DPointMapToDepth") is not None:
        clip = clip_of_points(rgb, points_of(scene, depth))
        camera = clip.source_camera
        return build_dw_mesh(
            rgb, clip.depth, clip.intrinsics, style=style, border_depth=clip.border_depth, source_camera=camera
        )
    if widgets(saved, "LoadImage") is not None:
        rgb, depth = (frames[:1].expand(len(frames), *frames.shape[1:]) for frames in (rgb, depth))
    return build_dw_mesh(
        rgb, depth_of(saved, depth), scene.intrinsics, style=style, source_camera=source_of(saved, scene)
    )


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
    """Five moments of a graph: the clip as it is then, the render with its holes in grey, the draft.

    Of a graph without a camera: the clip, and its points as colours.
    """
    from ex4d_core.holes.draft_fill import draft_fill
    from ex4d_core.pixels import to_uint8
    from ex4d_core.render import render_color_mask

    if widgets(saved, "EX4DCameraTrajectory") is None:
        moments = moments_of(len(rgb))
        return sheet([list(rgb[moments]), list(to_uint8(points_of(scene, depth))[moments])])
    mesh = mesh_of(saved, scene, rgb, depth)
    path = path_of(saved, mesh)
    color, mask, seen_depth = render_color_mask(mesh, path, out_dtype="uint8")
    moments = moments_of(len(path))
    shown = [path.shown_frames(mesh.frames)[moment] for moment in moments]
    color, mask, seen_depth = color[moments], mask[moments], seen_depth[moments]
    marked = torch.where((mask > 127)[..., None], color, torch.tensor(96, dtype=torch.uint8))
    draft = draft_fill(color, mask, seen_depth)
    return sheet([list(mesh.rgb[shown]), list(marked), list(draft)])


def moments_of(frames: int) -> list[int]:
    """The frames that are shown, from the first to the last."""
    return [round(i * (frames - 1) / (COLUMNS - 1)) for i in range(COLUMNS)]


def write() -> None:
    """Draw all of them anew."""
    FOLDER.mkdir(exist_ok=True)
    filmed = {}
    for picture, (name, *_) in PICTURES.items():
        graph = graph_of(name)
        if widgets(graph, "EX4DMeshFrames") is not None:
            animated_picture.draw()[0].save(FOLDER / f"{picture}.jpg", quality=82, optimize=True)
            continue
        scene = clip_of(graph, SIZE)
        if scene not in filmed:
            filmed[scene] = scene.clip()
        draw(graph, scene, *filmed[scene]).save(FOLDER / f"{picture}.jpg", quality=82, optimize=True)
    others = (sheet(more_pictures.files_3d()), more_pictures.stereo_vr(SIDE, GAP))
    for name, made in zip(OTHERS, others, strict=True):
        made.save(FOLDER / f"{name}.jpg", quality=82, optimize=True)


if __name__ == "__main__":
    write()
