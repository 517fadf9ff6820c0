"""Make a small procedural scene and run the whole chain on it, from -90 to 90 degrees, beside the ground truth.

Writes color.mp4, mask.mp4, draft.mp4 (holes completed fast), side_by_side.mp4 (source, render, draft, truth),
contact_sheet.png and .jpg, camera.json (the path) and psnr.json. No file and no model is needed.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..storage.staging import staged_folder
from .console import ProgressBar, interrupted, say
from .flags import add_renderer, check_renderer, size, whole

if TYPE_CHECKING:
    from torch import Tensor

    from ..demo_scene import DemoScene
    from ..evaluation.metrics import Agreement
    from ..mesh import DWMesh
    from ..trajectory import Trajectory
    from .demo_pictures import Shot

TABLE_ANGLES = range(-90, 91, 15)

EXPLANATION = """
What limits the PSNR of seen pixels (psnr.json has every frame):
  inside   pixels two or more away from holes, on the right surface.
  limit    the same pixels looked up in the source picture through the exact geometry: what resampling a picture of that
           resolution costs. The paper style comes within about 1 dB of it, so its geometry is not what is missing.
  all      falls below 'inside' by the rims: silhouette pixels of the source mix two surfaces and keep the mixture when
           the two move apart.
  other    seen pixels that show another surface than the truth: silhouettes are cut at whole source pixels, and low
           steps that stay under both occlusion thresholds are bridged by stretched faces.
The released style places samples half a pixel up and left, as the published code does: that is all it loses inside (a
paper mesh shifted so measures the same). At rims its colours also fade towards the holes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from ..mesh import STYLES

    add = parser.add_argument
    add("--output_dir", default="output/demo", help="folder for the results (default output/demo)")
    add("--num_frames", type=whole(7, 1000), default=49, help="frames of the clip and path, 7 or more (default 49)")
    add("--size", type=size(64, 2048), default="512x512", metavar="WxH", help="of the video (default 512x512)")
    add("--style", choices=STYLES, default="paper", help="of the mesh in the videos and the sheet (default paper)")
    add_renderer(add)


def run(args: argparse.Namespace) -> int:
    """Scene, mesh, sweep, draft, comparison, pictures; see the module for what is written."""
    from ..demo_scene import DemoScene
    from .demo_pictures import save_sheet

    started = time.monotonic()
    check_renderer(args.backend, args.device)
    width, height = args.size
    scene = DemoScene(width, height, args.num_frames, samples=2)
    path = _sweep(scene)
    with staged_folder(args.output_dir) as stage:
        styles, shot = _measure(args, scene, path)
        print(EXPLANATION, flush=True)
        path.save(stage / "camera.json")
        _save_videos(stage, shot, path.fps)
        save_sheet(stage, shot)
        report = _report(scene, styles, round(time.monotonic() - started, 1))
        (stage / "psnr.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
        names = sorted(file.name for file in stage.iterdir())
    for name in names:
        print(Path(args.output_dir) / name)
    say(f"done in {report['seconds']} s")
    return 0


def _sweep(scene: DemoScene) -> Trajectory:
    """The full sweep around the ringed ball: from the source to -90 degrees, then to +90."""
    from ..demo_scene import SUBJECT
    from ..trajectory import Trajectory

    distance = SUBJECT[2]
    return Trajectory.preset(
        "sweep",
        frames=scene.frames,
        radius=distance,
        pivot=(0.0, 0.0, distance),
        rise=0.1,
        intrinsics=scene.intrinsics,
    )


def _measure(args: argparse.Namespace, scene: DemoScene, path: Trajectory) -> tuple[dict[str, Any], Shot]:
    """Every style beside the truth: numbers of all, and the pictures of the one asked for."""
    from ..demo_scene.truth import truth_along
    from ..evaluation.metrics import compare_with_truth
    from ..holes.draft_fill import draft_fill
    from ..mesh import STYLES, build_dw_mesh
    from .demo_pictures import Shot

    with ProgressBar("source video") as bar:
        source = scene.clip(progress=bar, cancel=interrupted)
    with ProgressBar("ground truth") as bar:
        truth = truth_along(scene, source, path.world_to_camera, progress=bar, cancel=interrupted)
    styles: dict[str, Any] = {}
    shot: Shot | None = None
    for style in sorted(STYLES, key=lambda style: style != args.style):  # the one asked for comes first
        mesh = build_dw_mesh(*source, scene.intrinsics, style=style, cancel=interrupted)
        with ProgressBar(f"rendering, {style}") as bar:
            color, mask, depth = _render(args, mesh, path, progress=bar)
        rows = compare_with_truth(color, mask, depth, truth)
        source_view = _source_view(args, mesh)
        styles[style] = {"source_view": source_view, "frames": [_plain(row) for row in rows]}
        _print_table(style, rows, source_view)
        if shot is None:
            with ProgressBar("draft fill") as bar:
                draft = draft_fill(color, mask, depth, progress=bar, cancel=interrupted)
            shot = Shot(source[0], color, mask, draft, truth.color, [row.angle for row in rows])
    assert shot is not None
    return styles, shot


def _render(args: argparse.Namespace, mesh: DWMesh, path: Trajectory, **options: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Colour and mask, both uint8, and depth, on the CPU."""
    from ..render import render_color_mask

    color, mask, depth = render_color_mask(
        mesh, path, backend=args.backend, device=args.device, out_dtype="uint8", cancel=interrupted, **options
    )
    return color.cpu(), mask.cpu(), depth.cpu()


def _source_view(args: argparse.Namespace, mesh: DWMesh) -> dict[str, float]:
    """The first frame rendered from its own camera: it must come back unchanged wherever it is seen."""
    from ..trajectory import Trajectory

    first = mesh.part([0])
    still = Trajectory(np.eye(4, dtype=np.float32)[None])
    color, mask, _ = _render(args, first, still, keep_first_frame=False)
    seen = mask[0] > 0
    difference = (color[0].int() - mesh.rgb[0].cpu().int()).abs()[seen]
    return {"seen": float(seen.float().mean()), "largest_difference": int(difference.max()) if len(difference) else 0}


def _report(scene: DemoScene, styles: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What psnr.json holds."""
    return {
        "size": [scene.width, scene.height],
        "frames": scene.frames,
        "path": "sweep: 0, -90, +90 degrees around the ringed ball",
        "units": "angle in degrees; seen, other_surface and depth_error as shares; psnr in dB, null where nothing "
        "differs or nothing is seen",
        "styles": styles,
        "seconds": seconds,
    }


def _plain(row: Agreement) -> dict[str, float | None]:
    """JSON knows neither NaN nor infinity."""
    return {key: round(value, 6) if math.isfinite(value) else None for key, value in asdict(row).items()}


def _print_table(style: str, rows: list[Agreement], source_view: dict[str, float]) -> None:
    from .demo_pictures import frame_at

    print(
        f"\n{style} style: from the source camera {100 * source_view['seen']:.1f} % seen, largest difference "
        f"{source_view['largest_difference']}/255"
    )
    print(" angle   seen   PSNR all  inside   limit   other surface")
    for angle in TABLE_ANGLES:
        row = rows[frame_at([row.angle for row in rows], angle)]
        numbers = "".join(f"{value:8.2f}" for value in (row.psnr, row.psnr_inside, row.psnr_limit))
        print(f"{row.angle:6.1f} {100 * row.seen:5.1f} % {numbers}     {100 * row.other_surface:6.2f} %")


def _save_videos(stage: Path, shot: Shot, fps: float) -> None:
    from ..video import save_video
    from .demo_pictures import side_by_side

    videos = {"color": shot.color, "mask": shot.mask, "draft": shot.draft, "side_by_side": side_by_side(shot)}
    with ProgressBar("videos") as bar:
        for done, (name, frames) in enumerate(videos.items()):
            bar(done, len(videos))
            save_video(stage / f"{name}.mp4", frames, fps, cancel=interrupted)
        bar(len(videos), len(videos))
