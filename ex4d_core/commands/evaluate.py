"""Measure how good a result is: against the truth, against what the model was given, and by itself.

A single pair is one line:

  evaluate result.mp4 --against truth.mp4 --mask mask.mp4
  evaluate result.mp4 --depth depth.npz --cam camera_180.npz
  evaluate result.mp4 --scene set/moving-handheld-0/target_0-60.npz
  evaluate results/ --against truths/ --html report.html

Folders are taken pair by pair, by the names of their files without the ending. Everything but the result is optional: what it
would be needed for is told row by row. Clips must have one length and size; nothing is resized.

Exit code 2 where a clip cannot be read or does not fit, or a row of --require was not computed; the rest is computed and
printed all the same.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import EX4DError
from ..published import SEEN_LEVEL
from ..storage.names import natural_order
from ..storage.staging import staged_file
from .console import ProgressBar, interrupted, say
from .exits import INCOMPLETE
from .flags import check_file
from .jobs.files import JobFiles

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.page import Seen
    from ..evaluation.scores import Clips, Scores

ROLES = ("against", "mask", "render", "source")
"""Flags beside the result, in the order in which they are read."""
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".webp", ".npz")
SHORT = ("psnr", "psnr_seen", "psnr_hole", "ssim", "ms_ssim", "condition_psnr", "flow_warp_error", "flicker")
"""Rows of the table of many clips; --json has all."""


@dataclass(frozen=True)
class Pair:
    """A result with the files that go with it, by role; None where that role was not given."""

    name: str
    result: Path
    others: dict[str, Path | None]


SHOT = ("depth", "cam", "source_camera", "scene")
"""Flags that say what was asked for."""


@dataclass(frozen=True)
class Shot:
    """Files of `SHOT`; None where one was not given."""

    depth: Path | None
    cam: Path | None
    source_camera: Path | None
    scene: Path | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from ..evaluation.rows import ROW_NAMES

    add = parser.add_argument
    add("result", help="video, folder of images, .npz with rgb; or a folder of such")
    add("--against", metavar="TRUTH", help="what it should be, the same way")
    add("--mask", help="white = seen, as recon writes it: numbers of seen pixels, holes and rims apart")
    add("--render", help="the colour that the model was given, as recon writes it; with --mask")
    add("--source", help="the clip itself, at the result's size: first frame and colour drift")
    add(
        "--depth",
        help="depth of the source as recon --save_depth writes it: tells, with --cam, how far the camera is off",
    )
    add("--cam", help="the path that was asked for, a camera file; one pair only")
    add("--source_camera", help="camera file of the source, where that moves; with --depth and --cam")
    add(
        "--scene", help="target_<range>.npz of a benchmark's case: truth, path and what must stay hidden; one pair only"
    )
    add("--weights", help="folder of weight files for the rows that need some; nothing is downloaded")
    add("--prompt", help="what the clips show, for the CLIP score")
    add("--require", nargs="+", default=[], choices=ROW_NAMES, metavar="ROW", help="rows without which to exit with 2")
    add("--json", help="file for every number, frame by frame too")
    add("--html", help="file for a page with tables, curves, films and worst frames")


def run(args: argparse.Namespace) -> int:
    """Measure every pair; see the module for exit codes."""
    from .. import __version__
    from ..evaluation.page import FILMS, clips_page, seen_of
    from ..evaluation.scores import evaluate

    weights = _weights(args)
    shot = _shot(args)
    pairs, problems = find_pairs(Path(args.result), {role: getattr(args, role) for role in ROLES})
    done: dict[str, Scores] = {}
    seen: dict[str, Seen] = {}
    for pair in pairs:
        with ProgressBar(pair.name[-22:]) as bar:
            try:
                clips, fps = read(pair)
                clips = with_shot(clips, shot)
                done[pair.name] = evaluate(
                    clips, prompt=args.prompt, fps=fps, weights=weights, progress=bar, cancel=interrupted
                )
                if args.html is not None and len(seen) < FILMS:
                    seen[pair.name] = seen_of(pair.name, clips, done[pair.name], cancel=interrupted)
            except (EX4DError, OSError) as error:
                problems.append(f"{pair.name}: {error}")
    missing = [f"{name}: {row} {scores.reasons[row]}" for name, scores in done.items() for row in lacking(args, scores)]
    if len(done) == 1 and len(pairs) == 1:
        print_one(next(iter(done.values())))
    elif done:
        print_many(done)
    if args.json is not None:
        with staged_file(args.json) as part:
            text = json.dumps(report(done, problems), indent=1, allow_nan=False)
            part.write_text(text + "\n", encoding="utf-8")
    if args.html is not None:
        with staged_file(args.html) as part:
            part.write_text(clips_page(done, seen, problems, __version__), encoding="utf-8")
    for line in problems:
        say(f"not measured: {line}")
    for line in missing:
        say(f"required, but not computed: {line}")
    return INCOMPLETE if problems or missing else 0


def check(args: argparse.Namespace) -> None:
    """Refuse clips that are not there, or do not belong together."""
    from ..video import probe_video

    _weights(args)
    _shot(args)
    pairs, problems = find_pairs(Path(args.result), {role: getattr(args, role) for role in ROLES})
    if problems:
        raise EX4DError(problems[0])
    for pair in pairs:
        for path in (pair.result, *pair.others.values()):
            if path is not None:
                probe_video(path)


def files(args: argparse.Namespace) -> JobFiles:
    """What is read and written; a table alone goes to the console."""
    return JobFiles.of(
        (args.result, *(getattr(args, role) for role in (*ROLES, *SHOT)), args.weights), (args.json, args.html)
    )


def _weights(args: argparse.Namespace) -> Path | None:
    """The folder of --weights; it, --json and --html are refused where they cannot be."""
    weights = None if args.weights is None else Path(args.weights)
    if weights is not None and not weights.is_dir():
        raise EX4DError(f"--weights: there is no folder '{weights}'.")
    for flag, file in (("--json", args.json), ("--html", args.html)):
        if file is not None:
            check_file(flag, Path(file))
    return weights


def lacking(args: argparse.Namespace, scores: Scores) -> list[str]:
    """Rows of --require that have no value."""
    return [row for row in args.require if row in scores.reasons]


def find_pairs(result: Path, given: dict[str, str | None]) -> tuple[list[Pair], list[str]]:
    """What belongs together.

    Args:
        result: a clip, or a folder of clips.
        given: path by role, None where it was not given; folders of clips where the result is one.

    Returns:
        The pairs, and a sentence for each result that lacks something.
    """
    if not is_collection(result):
        return [
            Pair(result.name, result, {role: None if path is None else Path(path) for role, path in given.items()})
        ], []
    results = clips_of(result)
    if not results:
        raise EX4DError(f"The folder '{result}' holds neither videos nor folders of images.")
    sides = {role: None if path is None else _collection(role, Path(path)) for role, path in given.items()}
    pairs, problems = [], []
    for name, path in results.items():
        absent = [role for role, side in sides.items() if side is not None and name not in side]
        if absent:
            problems.append(f"{path.name}: there is no '{name}' in the folder of --{absent[0]}.")
            continue
        pairs.append(Pair(name, path, {role: None if side is None else side[name] for role, side in sides.items()}))
    return pairs, problems


def _collection(role: str, folder: Path) -> dict[str, Path]:
    if not is_collection(folder):
        raise EX4DError(f"--{role} must be a folder of clips, as the result is; '{folder}' is none.")
    return clips_of(folder)


def is_collection(path: Path) -> bool:
    """Whether a folder holds clips; one of pictures is a clip itself."""
    from ..video.sources import IMAGE_SUFFIXES

    if not path.is_dir():
        return False
    pictures = [
        file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.suffix.lower() != ".webp"
    ]
    return not pictures


def clips_of(folder: Path) -> dict[str, Path]:
    """A folder's clips by their names without the ending, in natural order."""
    paths = [file for file in folder.iterdir() if file.is_dir() or file.suffix.lower() in VIDEO_SUFFIXES]
    return {path.stem: path for path in sorted(paths, key=lambda p: natural_order(p.name)) if path.name[0] != "."}


def read(pair: Pair) -> tuple[Clips, float]:
    """The clips of a pair, each whole, and the result's rate.

    Raises:
        EX4DError: one that cannot be read, or that does not fit the result.
    """
    from ..evaluation.scores import Clips
    from ..video import load_video

    def frames(path: Path | None) -> Tensor | None:
        return None if path is None else load_video(path, cancel=interrupted).frames

    result = load_video(pair.result, cancel=interrupted)
    truth, mask, render, source = (frames(pair.others[role]) for role in ROLES)
    seen = None if mask is None else mask[..., 0] >= SEEN_LEVEL
    return Clips(result.frames, truth, seen, render, source), float(result.fps)


def _shot(args: argparse.Namespace) -> Shot | None:
    """What was asked for of one pair; what does not go together is refused."""
    shot = Shot(*(None if getattr(args, flag) is None else Path(getattr(args, flag)) for flag in SHOT))
    if shot == Shot(None, None, None, None):
        return None
    if is_collection(Path(args.result)):
        raise EX4DError("--depth, --cam and --scene go with one result; for a whole set take benchmark run --videos.")
    if shot.scene is not None and (args.against or shot.depth or shot.cam or shot.source_camera):
        raise EX4DError(
            "--scene brings truth and cameras itself; leave --against, --depth, --cam and --source_camera out."
        )
    if shot.scene is None and (shot.depth is None or shot.cam is None):
        raise EX4DError("--depth and --cam go together: the source's depth, and the path through it.")
    for flag, path in zip(SHOT, (shot.depth, shot.cam, shot.source_camera, shot.scene), strict=True):
        if path is not None and not path.exists():
            raise EX4DError(f"--{flag}: there is no file '{path}'.")
    return shot


def with_shot(clips: Clips, shot: Shot | None) -> Clips:
    """The clips with the path that was asked for, or with a scene's exact truth.

    Raises:
        EX4DError: files that cannot be read, or do not fit.
    """
    from dataclasses import replace

    if shot is None:
        return clips
    if shot.scene is not None:
        from ..evaluation.benchmark.scene_truth import scene_truth

        return replace(clips, **vars(scene_truth(shot.scene)))
    from ..evaluation.adherence import asked_of
    from ..trajectory import load_camera

    assert shot.depth is not None and shot.cam is not None
    depth = _depth(shot.depth)
    source = None if shot.source_camera is None else load_camera(shot.source_camera)
    path = replace(load_camera(shot.cam, rebase=False), frame_of_reference="world")
    return replace(clips, asked=asked_of(depth, path, source, cancel=interrupted))


def _depth(file: Path) -> Tensor:
    import torch

    from ..storage.npz import arrays_in

    try:
        depth = torch.from_numpy(arrays_in(file, "depth")["depth"].astype("float32"))
    except EX4DError as error:
        raise EX4DError(
            f"--depth: '{file}' must be an .npz with depth (T, H, W), as recon --save_depth writes it."
        ) from error
    if depth.ndim != 3:
        raise EX4DError(f"--depth: depth has shape (T, H, W), got {tuple(depth.shape)}.")
    return depth


def print_one(scores: Scores) -> None:
    """Every row of one pair."""
    from ..evaluation.rows import ROWS
    from ..evaluation.weighted.judged import WEIGHTED

    for row in ROWS:
        value = scores.values[row.name]
        shown = "" if value is None else f"{number(value)} {row.unit}".rstrip()
        print(f"  {row.title:<36}{shown or 'not computed: ' + scores.reasons[row.name]}")
    for weighted in WEIGHTED:
        value, told = scores.values[weighted.name], scores.said.notes.get(weighted.name)
        shown = f"not computed: {scores.reasons.get(weighted.name)}" if value is None else number(value)
        print(f"  {weighted.title:<36}{shown}{'' if told is None else f'  {told}'}")


def print_many(done: dict[str, Scores]) -> None:
    """A line for each pair, and the mean with its interval of 95 per cent."""
    from ..evaluation.bootstrap import estimate

    shown = [row for row in SHORT if any(scores.values[row] is not None for scores in done.values())]
    width = max(len("mean"), *(len(name) for name in done))
    print("  ".join([" " * width, *(f"{row:>15}" for row in shown)]))
    for name, scores in done.items():
        cells = ["-" if (value := scores.values[row]) is None else number(value) for row in shown]
        print("  ".join([f"{name:<{width}}", *(f"{cell:>15}" for cell in cells)]))
    cells = []
    for row in shown:
        found = estimate([scores.values[row] for scores in done.values()])
        spread = "" if math.isnan(found.low) else f" ±{number(found.half)}"
        cells.append(f"{number(found.mean)}{spread}" if found.count else "-")
    print("  ".join([f"{'mean':<{width}}", *(f"{cell:>15}" for cell in cells)]))
    from ..evaluation.weighted.judged import of_set

    for name, value in of_set([scores.said for scores in done.values()])[0].items():
        print(f"{name.upper()} {number(value)} over all clips together")
    print(f"{len(done)} clips; ± is half of the 95 % interval of the mean (bootstrap). --json keeps every row.")


def number(value: float) -> str:
    """With four significant digits."""
    return "identical" if math.isinf(value) else f"{value:#.4g}"


def report(done: dict[str, Scores], problems: list[str]) -> dict[str, Any]:
    """What --json holds; JSON knows neither NaN nor infinity, so both are null with a reason."""
    from .. import __version__
    from ..evaluation.bootstrap import estimate
    from ..evaluation.rows import ROW_NAMES, ROWS
    from ..evaluation.weighted.judged import DISTANCES, WEIGHTED, of_set

    def plain(value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else value

    sets, why, counts = of_set([scores.said for scores in done.values()])
    means = {
        name: estimate([scores.values[name] for scores in done.values()]) for name in ROW_NAMES if name not in DISTANCES
    }
    return {
        "version": __version__,
        "rows": {row.name: {"title": row.title, "unit": row.unit, "better": row.better} for row in ROWS}
        | {row.name: {"title": row.title, "unit": "", "better": row.better} for row in WEIGHTED},
        "mean": {
            name: {"mean": plain(found.mean), "low": plain(found.low), "high": plain(found.high), "clips": found.count}
            for name, found in means.items()
        },
        "of_all_clips": {
            name: {"value": sets.get(name), "features": counts.get(name, 0), "not_computed": why.get(name)}
            for name in DISTANCES
        },
        "clips": {
            name: {
                "unverified": scores.said.notes,
                "values": {row: plain(value) for row, value in scores.values.items()},
                "not_computed": scores.reasons,
                "identical": [row for row, value in scores.values.items() if value == math.inf],
                "frames": {row: [plain(value) for value in values] for row, values in scores.frames.items()},
            }
            for name, scores in done.items()
        },
        "problems": problems,
    }
