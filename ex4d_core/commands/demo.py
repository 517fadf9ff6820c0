"""Make a small procedural scene and run the whole chain on it, from -90 to 90 degrees, beside the ground truth.

Writes color.mp4, mask.mp4, draft.mp4 (holes completed fast), side_by_side.mp4 (source, render, draft, truth),
contact_sheet.png and .jpg, camera.json (the path) and psnr.json. No file and no model is needed.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import EX4DError
from ..machine import opencv
from ..storage.staging import staged_folder
from .checks import check_backend, one_of
from .console import ProgressBar, interrupted, say

if TYPE_CHECKING:
    from torch import Tensor

    from ..demo_scene import DemoScene
    from ..evaluation.metrics import Agreement
    from ..mesh import DWMesh
    from ..trajectory import Trajectory

STYLES = ("paper", "released")
SHEET_ANGLES = (-90, -60, -30, 0, 30, 60, 90)
TABLE_ANGLES = range(-90, 91, 15)
SHEET_CELL = 224
HOLE = (22, 24, 30)
"""What holes look like in pictures for people; the colour video itself is black there."""

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
    parser.add_argument("--output_dir", default="output/demo", help="folder for the results (default output/demo)")
    parser.add_argument(
        "--num_frames", type=int, default=49, help="frames of the clip and path, 7 or more (default 49)"
    )
    parser.add_argument("--size", default="512x512", help="WxH of the video (default 512x512)")
    parser.add_argument("--style", default="paper", help="mesh of the videos and the sheet: paper or released")
    parser.add_argument("--backend", default="auto", help="auto, nvdiffrast, numba or torch (default auto)")
    parser.add_argument("--device", help="cpu, cuda ... for rendering (default: where the backend runs best)")


def run(args: argparse.Namespace) -> int:
    """Scene, mesh, sweep, draft, comparison, pictures; see the module for what is written."""
    started = time.monotonic()
    scene = _scene(args)
    with staged_folder(args.output_dir) as stage:
        report = _demo(args, scene, stage)
        report["seconds"] = round(time.monotonic() - started, 1)
        (stage / "psnr.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
        names = sorted(file.name for file in stage.iterdir())
    for name in names:
        print(Path(args.output_dir) / name)
    say(f"done in {report['seconds']} s")
    return 0


def _scene(args: argparse.Namespace) -> DemoScene:
    from ..demo_scene import DemoScene
    from ..video.fit import parse_size

    width, height = parse_size(args.size, 64, 2048)
    if not 7 <= args.num_frames <= 1000:
        raise EX4DError(f"--num_frames must lie between 7 and 1000, got {args.num_frames}.")
    one_of("--style", args.style, STYLES)
    check_backend(args.backend, args.device)
    return DemoScene(width, height, args.num_frames, samples=2)


@dataclass(frozen=True)
class _Shot:
    """The chain's result for one style; all uint8, (T, H, W, 3) and masks (T, H, W)."""

    source: Tensor
    color: Tensor
    mask: Tensor
    draft: Tensor
    truth: Tensor
    angles: list[float]

    def pictures(self, t: int) -> list[np.ndarray]:
        """Source, render, draft and truth of one frame."""
        import torch

        hole = torch.tensor(HOLE, dtype=torch.uint8)
        render = torch.where(self.mask[t, ..., None] > 0, self.color[t], hole)
        return [picture.numpy() for picture in (self.source[t], render, self.draft[t], self.truth[t])]


def _demo(args: argparse.Namespace, scene: DemoScene, stage: Path) -> dict[str, Any]:
    from ..demo_scene.truth import truth_along
    from ..evaluation.metrics import compare_with_truth
    from ..holes.draft_fill import draft_fill
    from ..mesh import build_dw_mesh
    from ..render import render_color_mask

    path = _sweep(scene)
    with ProgressBar("source video") as bar:
        source = scene.clip(progress=bar, cancel=interrupted)
    with ProgressBar("ground truth") as bar:
        truth = truth_along(scene, source, path.world_to_camera, progress=bar, cancel=interrupted)

    report: dict[str, Any] = {
        "size": [scene.width, scene.height],
        "frames": scene.frames,
        "path": "sweep: 0, -90, +90 degrees around the ringed ball",
        "units": "angle in degrees; seen, other_surface and depth_error as shares; psnr in dB, null where nothing "
        "differs or nothing is seen",
        "styles": {},
    }
    shot = None
    for style in STYLES:
        mesh = build_dw_mesh(*source, scene.intrinsics, style=style, cancel=interrupted)
        with ProgressBar(f"rendering, {style}") as bar:
            rendered = render_color_mask(
                mesh,
                path,
                backend=args.backend,
                device=args.device,
                out_dtype="uint8",
                progress=bar,
                cancel=interrupted,
            )
        color, mask, depth = (result.cpu() for result in rendered)
        rows = compare_with_truth(color, mask, depth, truth)
        report["styles"][style] = {"source_view": _source_view(mesh, args), "frames": [_plain(row) for row in rows]}
        _print_table(style, rows, report["styles"][style]["source_view"])
        if style == args.style:
            with ProgressBar("draft fill") as bar:
                draft = draft_fill(color, mask, depth, progress=bar, cancel=interrupted)
            shot = _Shot(source[0], color, mask, draft, truth.color, [row.angle for row in rows])
    print(EXPLANATION, flush=True)

    assert shot is not None
    path.save(stage / "camera.json")
    _save_videos(stage, shot, path.fps)
    _save_sheet(stage, shot)
    return report


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


def _source_view(mesh: DWMesh, args: argparse.Namespace) -> dict[str, float]:
    """The first frame rendered from its own camera: it must come back unchanged wherever it is seen."""
    from ..render import render_color_mask
    from ..trajectory import Trajectory

    first = replace(mesh, rgb=mesh.rgb[:1], depth=mesh.depth[:1])
    still = Trajectory(np.eye(4, dtype=np.float32)[None])
    color, mask, _ = (
        result.cpu()
        for result in render_color_mask(
            first, still, backend=args.backend, device=args.device, keep_first_frame=False, out_dtype="uint8"
        )
    )
    seen = mask[0] > 0
    difference = (color[0].int() - mesh.rgb[0].int()).abs()[seen]
    return {"seen": float(seen.float().mean()), "largest_difference": int(difference.max()) if len(difference) else 0}


def _plain(row: Agreement) -> dict[str, float | None]:
    """JSON knows neither NaN nor infinity."""
    return {key: round(value, 6) if math.isfinite(value) else None for key, value in asdict(row).items()}


def _print_table(style: str, rows: list[Agreement], source_view: dict[str, float]) -> None:
    print(
        f"\n{style} style: from the source camera {100 * source_view['seen']:.1f} % seen, largest difference "
        f"{source_view['largest_difference']}/255"
    )
    print(" angle   seen   PSNR all  inside   limit   other surface")
    for angle in TABLE_ANGLES:
        row = rows[_frame_at([row.angle for row in rows], angle)]
        numbers = "".join(f"{value:8.2f}" for value in (row.psnr, row.psnr_inside, row.psnr_limit))
        print(f"{row.angle:6.1f} {100 * row.seen:5.1f} % {numbers}     {100 * row.other_surface:6.2f} %")


def _frame_at(angles: list[float], wanted: float) -> int:
    """The frame nearest to an angle on the way from -90 to +90, which is the last two thirds of the sweep."""
    first = len(angles) // 3
    return min(range(first, len(angles)), key=lambda t: abs(angles[t] - wanted))


def _save_videos(stage: Path, shot: _Shot, fps: float) -> None:
    from ..video import save_video

    videos = {
        "color": shot.color,
        "mask": shot.mask,
        "draft": shot.draft,
        "side_by_side": (_side_by_side(shot, t) for t in range(len(shot.source))),
    }
    with ProgressBar("videos") as bar:
        for done, (name, frames) in enumerate(videos.items()):
            bar(done, len(videos))
            save_video(stage / f"{name}.mp4", frames, fps, cancel=interrupted)
        bar(len(videos), len(videos))


def _side_by_side(shot: _Shot, t: int) -> np.ndarray:
    """One frame of source, render, draft and truth in a row, with a line of text above."""
    body = np.concatenate(shot.pictures(t), 1)
    height, width = body.shape[0], body.shape[1] // 4
    header = np.full((max(24, height // 16), 4 * width, 3), HOLE, np.uint8)
    titles = ("source video", f"DW-Mesh from {shot.angles[t]:+.0f} deg", "draft fill", "ground truth")
    for column, title in enumerate(titles):
        _write(header, title, column * width + width // 2, header.shape[0] // 2, header.shape[0] * 0.5)
    frame = np.concatenate([header, body])
    # H.264 in its common form wants even sides.
    return frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]


def _save_sheet(stage: Path, shot: _Shot) -> None:
    """The contact sheet: a column per angle; source, render, draft and truth below each other."""
    cv2 = opencv.load()
    height, width = shot.source.shape[1:3]
    cell = (SHEET_CELL, round(SHEET_CELL * height / width))
    shrink = cv2.INTER_AREA if width > SHEET_CELL else cv2.INTER_LINEAR
    gap, left, top = 6, 34, 34
    titles = ("source video", "DW-Mesh", "draft fill", "ground truth")
    sheet = np.full((top + 4 * (cell[1] + gap), left + len(SHEET_ANGLES) * (cell[0] + gap), 3), HOLE, np.uint8)
    for column, angle in enumerate(SHEET_ANGLES):
        x = left + column * (cell[0] + gap)
        _write(sheet, f"{angle:+d} deg" if angle else "0 deg", x + cell[0] // 2, top // 2, 15)
        for row, picture in enumerate(shot.pictures(_frame_at(shot.angles, angle))):
            y = top + row * (cell[1] + gap)
            sheet[y : y + cell[1], x : x + cell[0]] = cv2.resize(picture, cell, interpolation=shrink)
    for row, title in enumerate(titles):
        strip = np.full((left, cell[1], 3), HOLE, np.uint8)
        _write(strip, title, cell[1] // 2, left // 2, 15)
        y = top + row * (cell[1] + gap)
        sheet[y : y + cell[1], :left] = np.rot90(strip)
    for name, options in (("contact_sheet.png", []), ("contact_sheet.jpg", [cv2.IMWRITE_JPEG_QUALITY, 80])):
        # Encoded in memory: OpenCV itself cannot write to a path with characters outside the system's code page.
        _, data = cv2.imencode(Path(name).suffix, sheet[..., ::-1], options)
        (stage / name).write_bytes(data.tobytes())


def _write(picture: np.ndarray, text: str, x: int, y: int, size: float) -> None:
    """Light text of about ``size`` pixels height around (x, y)."""
    cv2 = opencv.load()
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, size / 26
    (width, height), _ = cv2.getTextSize(text, font, scale, 1)
    cv2.putText(picture, text, (x - width // 2, y + height // 2), font, scale, (226, 228, 233), 1, cv2.LINE_AA)
