"""One video judged by every row that what was given allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from torch import Tensor

from ..camera import DEFAULT_FPS
from ..errors import Cancelled, EX4DError
from ..machine import extras
from .adherence import Asked, adherence
from .motion import flicker, flow_warp_error, loop_seam, steps
from .occlusion import Hidden, kept_hidden
from .regions import REGIONS, regions
from .rows import ALIKE, NEEDS, ROWS, Need
from .similarity import REACH, mean_over, psnr, similarities, squared_error
from .weighted.judged import Said, judge, of_set

EDGE_SHARE = 0.1
"""Of a clip at either end, whose mean colours make its drift."""


@dataclass(frozen=True, eq=False)
class Clips:
    """A result and what it is judged by, all of one length and size; None where it is not there.

    Attributes:
        result: (T, H, W, 3) uint8.
        truth: likewise, what it should be.
        seen: (T, H, W) bool, what was given to the model; False = hole.
        render: (T, H, W, 3) uint8, the colour that was given to it.
        source: (T, H, W, 3) uint8, the artist's clip, filmed by another camera: only its first frame and its mean colours
            are compared.
        asked: the path that the result should follow, with the depth along it.
        hidden: what the truth hides and the source sees.
    """

    result: Tensor
    truth: Tensor | None = None
    seen: Tensor | None = None
    render: Tensor | None = None
    source: Tensor | None = None
    asked: Asked | None = None
    hidden: Hidden | None = None

    def __post_init__(self) -> None:
        frames, height, width = self.result.shape[:3]
        if frames < 1 or min(height, width) <= 2 * REACH:
            raise EX4DError(
                f"A result needs a frame and sides of {2 * REACH + 1} pixels or more, got {frames} of {width}x{height}."
            )
        for part in fields(self)[1:]:
            clip = getattr(self, part.name)
            if isinstance(clip, Asked):
                clip = clip.depth
            elif isinstance(clip, Hidden):
                clip = clip.there
            if clip is not None and clip.shape[:3] != self.result.shape[:3]:
                count, rows, columns = clip.shape[:3]
                raise EX4DError(
                    f"The result has {frames} frames of {width}x{height} and the {WORDS[part.name]} {count} of "
                    f"{columns}x{rows}. Bring one to the other's length and size; nothing is resized here."
                )


WORDS = {
    "truth": "truth",
    "seen": "mask",
    "render": "rendered colour",
    "source": "source video",
    "asked": "depth along the path",
    "hidden": "scene",
}


@dataclass(frozen=True)
class Scores:
    """What came of it.

    Attributes:
        values: by row; None where it was not computed, infinite where nothing differs.
        reasons: by row, why it was not computed: "needs ...".
        frames: by row, one value a frame (T) or pair of frames (T - 1), NaN where there is none.
        said: what networks say of it, from which the distances between sets of clips are computed.
    """

    values: dict[str, float | None]
    reasons: dict[str, str]
    frames: dict[str, list[float]] = field(default_factory=dict)
    said: Said = field(default_factory=Said)


def evaluate(
    clips: Clips,
    *,
    weights: Path | None = None,
    prompt: str | None = None,
    fps: float = DEFAULT_FPS,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Scores:
    """Judge one video.

    Args:
        clips: what is judged, and by what.
        weights: folder of weight files; None = none are there.
        prompt: what the clip shows, for the CLIP score.
        fps: of the clip, for VBench's dynamic degree.
        progress: called with (steps done, steps), two a frame, four where a path is held against.
        cancel: polled once a frame, and while networks work.

    Returns:
        A value or a reason for every row.

    Raises:
        Cancelled: ``cancel`` returned True.

    Example:
        >>> truth = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
        >>> scores = evaluate(Clips(truth, truth))
        >>> scores.values["psnr"], scores.values["ssim"], scores.reasons["psnr_hole"]
        (inf, 1.0, 'needs the mask of seen pixels')
    """
    frames = len(clips.result)
    there = _given(clips)
    reasons = {
        row.name: "needs " + " and ".join(NEEDS[need] for need in row.needs if not there[need])
        for row in ROWS
        if not all(there[need] for need in row.needs)
    }
    curves: dict[str, list[float]] = {}
    found: dict[str, float] = {}
    total = 4 * frames if there["opencv"] and there["path"] else 2 * frames

    def part(begun: int) -> Callable[[int], None]:
        return lambda done: None if progress is None else progress(begun + done, total)

    if clips.truth is not None:
        found |= _likeness(clips.result, clips.truth, clips.seen, curves, part(0), cancel)
        if clips.hidden is not None:
            found["occlusion"] = _occlusion(clips.result, clips.truth, clips.hidden, curves)
    if clips.render is not None and clips.seen is not None:
        found |= _condition(clips.result, clips.render, clips.seen, cancel)
    first = clips.source if clips.source is not None else clips.render
    if first is not None:
        found["first_frame_psnr"] = psnr(float(squared_error(clips.result[0], first[0]).mean()))
        found["colour_drift"] = colour_drift(clips, curves)
    found |= _motion(clips, there["opencv"], curves, part(frames), cancel)
    if clips.asked is not None and there["opencv"]:
        found |= _camera(clips.result, clips.asked, curves, reasons, part(2 * frames), cancel)
    for name, value in found.items():
        if math.isnan(value) and name not in reasons:
            reasons[name] = NOTHING.get(name.split("_")[0], "nothing to compare")
    said = judge(clips.result, clips.truth, weights, prompt=prompt, fps=fps, cancel=cancel)
    of_sets, why, _ = of_set([said])
    reasons |= said.reasons | why
    if progress is not None:
        progress(total, total)
    values: dict[str, float | None] = {row.name: None if row.name in reasons else found[row.name] for row in ROWS}
    values |= dict.fromkeys(said.reasons | why) | said.values | of_sets
    return Scores(values, reasons, curves, said)


NOTHING = {
    "ms": "no window lies in this region, or the sides are below 176 pixels",
    "ssim": "no window lies in this region",
    "psnr": "there is no such pixel",
    "occlusion": "nothing hidden has another colour than what is in front",
    "loop": "nothing moves, or there are fewer than three frames",
}
"""By a row's first word, why there is no number."""


def _given(clips: Clips) -> dict[Need, bool]:
    return {
        "truth": clips.truth is not None,
        "mask": clips.seen is not None,
        "render": clips.render is not None,
        "source": clips.source is not None or clips.render is not None,
        "opencv": extras.has("cv2"),
        "path": clips.asked is not None,
        "hidden": clips.hidden is not None,
    }


def _likeness(
    result: Tensor,
    truth: Tensor,
    seen: Tensor | None,
    curves: dict[str, list[float]],
    step: Callable[[int], None],
    cancel: Callable[[], bool] | None,
) -> dict[str, float]:
    """PSNR, SSIM and MS-SSIM of every region. PSNR from the error of all its pixels; the others are means over frames."""
    total: dict[str, float] = dict.fromkeys(REGIONS, 0.0)
    count: dict[str, int] = dict.fromkeys(REGIONS, 0)
    series: dict[str, list[float]] = {row: [] for row in _alike_names()}
    for t, (frame, right) in enumerate(zip(result, truth, strict=True)):
        if cancel is not None and cancel():
            raise Cancelled
        parts = regions(None if seen is None else seen[t], (frame.shape[0], frame.shape[1]))
        error, alike = squared_error(frame, right), similarities(frame, right, parts)
        for region, where in parts.items():
            pixels, mean = int(where.sum()), mean_over(error, where)
            total[region] += mean * pixels if pixels else 0.0
            count[region] += pixels
            numbers = (psnr(mean), alike[region].ssim, alike[region].ms_ssim)
            for (name, _, _), number in zip(ALIKE, numbers, strict=True):
                series[_of(name, region)].append(number)
        step(t + 1)
    found = {name: _mean(numbers) for name, numbers in series.items()}
    for region in REGIONS:
        found[_of("psnr", region)] = psnr(total[region] / count[region] if count[region] else math.nan)
    curves |= {name: numbers for name, numbers in series.items() if numbers}
    return found


def _of(name: str, region: str) -> str:
    return name if region == "all" else f"{name}_{region}"


def _alike_names() -> list[str]:
    return [_of(name, region) for name, _, _ in ALIKE for region in REGIONS]


def _condition(result: Tensor, render: Tensor, seen: Tensor, cancel: Callable[[], bool] | None) -> dict[str, float]:
    """How far the seen pixels of a result are what was given to the model."""
    total, count, alike = 0.0, 0, []
    for frame, given, where in zip(result, render, seen, strict=True):
        if cancel is not None and cancel():
            raise Cancelled
        pixels = int(where.sum())
        if pixels:
            total, count = total + mean_over(squared_error(frame, given), where) * pixels, count + pixels
        # What is no hole's colour on either side: windows that reach into a hole compare what was never given.
        laid = torch.where(where[..., None], given, frame)
        alike.append(similarities(frame, laid, {"seen": where})["seen"].ssim)
    return {"condition_psnr": psnr(total / count if count else math.nan), "condition_ssim": _mean(alike)}


def _occlusion(result: Tensor, truth: Tensor, hidden: Hidden, curves: dict[str, list[float]]) -> float:
    curves["occlusion"] = [
        100 * kept_hidden(*frame) for frame in zip(result, truth, hidden.color, hidden.there, strict=True)
    ]
    return _mean(curves["occlusion"])


def _camera(
    result: Tensor,
    asked: Asked,
    curves: dict[str, list[float]],
    reasons: dict[str, str],
    step: Callable[[int], None],
    cancel: Callable[[], bool] | None,
) -> dict[str, float]:
    """How far the camera is off the path; a reason where it cannot be found."""
    frames = len(result)
    found = adherence(
        result, asked, progress=lambda done, total: step(done * 2 * frames // max(total, 1)), cancel=cancel
    )
    if found.trouble is not None:
        reasons |= dict.fromkeys(("camera_degrees", "camera_radius"), found.trouble)
        return {}
    curves |= {"camera_degrees": found.degrees, "camera_radius": [100 * share for share in found.shares]}
    return {name: _mean(curves[name]) for name in ("camera_degrees", "camera_radius")}


def colour_drift(clips: Clips, curves: dict[str, list[float]]) -> float:
    """By how much more the mean colour is off at the end of the clip than at its start, in levels of 255.

    Measured on seen pixels against the render where both are there, which show the same surfaces; else over whole frames
    against the source. The largest of the three channels.
    """
    if clips.render is not None and clips.seen is not None:
        other, where = clips.render, clips.seen
    else:
        other = clips.source if clips.source is not None else clips.render
        where = torch.ones(clips.result.shape[:3], dtype=torch.bool)
    assert other is not None
    offsets = [
        (a.float() - b.float())[seen].mean(0) if bool(seen.any()) else torch.full((3,), math.nan)
        for a, b, seen in zip(clips.result, other, where, strict=True)
    ]
    curves["colour_drift"] = [float(offset.abs().max()) for offset in offsets]
    known = torch.stack(offsets)
    known = known[~known.isnan().any(1)]
    if not len(known):
        return math.nan
    edge = max(1, round(EDGE_SHARE * len(known)))
    return float((known[-edge:].mean(0) - known[:edge].mean(0)).abs().max())


def _motion(
    clips: Clips,
    opencv: bool,
    curves: dict[str, list[float]],
    step: Callable[[int], None],
    cancel: Callable[[], bool] | None,
) -> dict[str, float]:
    changes = steps(clips.result)
    found = {"flicker": flicker(changes), "loop_seam": loop_seam(clips.result, changes)}
    curves["flicker"] = [1 - change / 255 for change in changes]
    if clips.truth is not None:
        found["flicker_truth"] = flicker(steps(clips.truth))
    if opencv:
        curves["flow_warp_error"] = flow_warp_error(
            clips.result, clips.truth, progress=lambda done, _: step(done), cancel=cancel
        )
        found["flow_warp_error"] = _mean(curves["flow_warp_error"])
        if clips.truth is not None:
            found["flow_warp_error_truth"] = _mean(flow_warp_error(clips.truth, cancel=cancel))
    return found


def _mean(numbers: list[float]) -> float:
    """Of those that are numbers."""
    known = [number for number in numbers if not math.isnan(number)]
    return sum(known) / len(known) if known else math.nan
