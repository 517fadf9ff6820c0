"""Which frames, at which rate and size: decided once for pictures, mask, path and sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import EX4DError
from ..trajectory import Trajectory
from ..video import Fit, PicturePlacement, place
from .models import ControlModel

RateChoice = Literal["auto", "model", "keep"]
RATES: tuple[RateChoice, ...] = get_args(RateChoice)
"""auto: frames are dropped or repeated only where the model demands its rate or the clip's is far from it; model: always at the
model's rate; keep: the frames as they are."""
NEAR = 0.2
"""Rates that differ by at most this share count as near: to repeat every sixteenth frame would show more than the difference."""
LONGEST = 10000
LARGEST_SIDE = 4096


@dataclass(frozen=True)
class FitPlan:
    """What becomes of a clip.

    Attributes:
        model: that it is fitted to.
        frames: of the clip, for each of its new frames the old one's number.
        times: of the path, for each of its new frames the old path's frame, may be fractional; of the clip likewise where
            the path says nothing of time.
        shown: where the path bends time, the new clip's frame that each of its new frames shows; else None.
        fps: frames a second from now on.
        begin, seconds: the part of the old clip's sound that belongs to it.
        size: (width, height) of the clip as it was.
        placement: where its picture lies in the new frame.
        notes: what was changed or is unusual, a sentence each.
    """

    model: ControlModel
    frames: tuple[int, ...]
    times: tuple[float, ...]
    shown: tuple[int, ...] | None
    fps: float
    begin: float
    seconds: float
    size: tuple[int, int]
    placement: PicturePlacement
    notes: tuple[str, ...]

    @property
    def length(self) -> int:
        """Frames of the video that the model makes."""
        return len(self.times)

    @property
    def pads(self) -> bool:
        """Whether the new frame shows more than the picture: bars, which are holes."""
        return not self.placement.covers


def plan_fit(
    model: ControlModel,
    frames: int,
    size: tuple[int, int],
    fps: float,
    *,
    path: Trajectory | None = None,
    length: int = 0,
    start: int = 0,
    width: int = 0,
    height: int = 0,
    fit: Fit = "crop",
    rate: RateChoice = "auto",
) -> FitPlan:
    """How a clip becomes one that the model takes.

    Args:
        model: the row of its rules.
        frames: of the clip, at least 1.
        size: (width, height) of the clip in pixels.
        fps: the clip's frames a second, > 0.
        path: the camera path that goes with it; as long as the clip, unless it says which frames it shows or the clip is one
            picture.
        length: frames wanted; 0 = as many as the clip has and the model is trained on. A clip that is too short holds its last
            frame.
        start: the clip's first frame to take.
        width: wanted in pixels, a multiple of the model's side; 0 for both = the clip's shape, near its size.
        height: likewise.
        fit: how the picture fills another shape; bars of "pad" are holes.
        rate: whether frames are dropped or repeated for the model's rate; see `RATES`.

    Raises:
        EX4DError: counts, sizes or rates that do not fit; says what does.
    """
    notes: list[str] = []
    _check(frames, fps, start, path, rate)
    bends = path is not None and frames > 1 and path.bends_time
    old = len(path) if path is not None and (bends or frames == 1) else frames
    if start and (bends or frames == 1):
        raise EX4DError(f"A path that tells which frames it shows begins where they are; start must be 0, got {start}.")
    new_fps = _new_rate(model, fps, rate)
    stride = fps / new_fps
    there = max(1, int((old - start) / stride + 0.5 + 1e-9))
    count = _length(model, there, length, notes)
    times = tuple(min(start + stride * k, old - 1.0) for k in range(count))
    if new_fps != fps:
        notes.append(f"Frames are taken at {new_fps:g} a second, the clip's are {fps:g}: the speed stays.")
    elif abs(fps / model.rate - 1) > 1e-3:
        notes.append(f"{model.base.name} is trained at {model.rate:g} fps; the clip keeps its {fps:g}.")
    if count < there:
        notes.append(f"{count} of {there} frames are kept.")
    elif count > there:
        notes.append(f"The clip has {there} frames; the last one is held to make {count}.")
    taken: tuple[int, ...] = tuple(min(int(time + 0.5), frames - 1) for time in times)
    shown = None
    if bends:
        assert path is not None
        whole = max(1, int(frames / stride + 0.5 + 1e-9))
        taken = tuple(min(int(stride * k + 0.5), frames - 1) for k in range(whole))
        named = path.shown_frames(frames)
        shown = tuple(min(int(named[int(time + 0.5)] / stride + 0.5), whole - 1) for time in times)
        notes.append("The path bends time, so the clip's sound does not go with the new video.")
    elif frames == 1 and path is not None:
        taken = (0,)
    placement = place(size, _new_size(model, size, width, height, notes), fit)
    _tell_placement(size, placement, fit, notes)
    lowest, highest = model.trained
    if not lowest <= count <= highest:
        notes.append(f"Unusual: {model.name} is trained on {lowest} to {highest} frames, these are {count}.")
    seconds = len(taken) / new_fps
    return FitPlan(
        model, taken, times, shown, new_fps, start / fps, seconds, size, placement, tuple(notes)
    )  # fmt: skip


def _check(frames: int, fps: float, start: int, path: Trajectory | None, rate: str) -> None:
    if frames < 1:
        raise EX4DError("The clip has no frames.")
    if not 0 < fps <= 1000:
        raise EX4DError(f"The clip's rate must lie between 0 and 1000 frames a second, got {fps}.")
    if not 0 <= start < frames:
        raise EX4DError(f"The clip has frames 0 to {frames - 1}; the first one wanted is {start}.")
    if rate not in RATES:
        raise EX4DError(f"rate must be one of {', '.join(RATES)}, got {rate!r}.")
    if path is not None and frames > 1 and not path.bends_time and len(path) != frames:
        raise EX4DError(
            f"The clip has {frames} frames, the camera path {len(path)}. Make the path as long, or fit the clip before the path "
            "is made."
        )


def _new_rate(model: ControlModel, fps: float, rate: RateChoice) -> float:
    near = abs(fps / model.rate - 1) <= NEAR
    if rate == "keep" or (rate == "auto" and model.base.rate != "exact" and near):
        return fps
    return fps if abs(fps / model.rate - 1) <= 1e-3 and model.base.rate != "exact" else model.rate


def _length(model: ControlModel, there: int, wanted: int, notes: list[str]) -> int:
    if wanted:
        if not 1 <= wanted <= LONGEST or not model.takes(wanted):
            good = model.within(wanted) or model.fewest
            raise EX4DError(f"{model.name} takes {model.length_rule} frames, got {wanted}; {good} would do.")
        return wanted
    most = max(model.fewest, min(there, model.trained[1]))
    if there > most:
        notes.append(f"{model.name} is trained on at most {most} frames; ask for more to have them.")
    count = model.within(most)
    assert count is not None  # most is at least the fewest
    return count


def _new_size(model: ControlModel, size: tuple[int, int], width: int, height: int, notes: list[str]) -> tuple[int, int]:
    side = model.base.side
    if (width == 0) != (height == 0):
        raise EX4DError("Give both width and height, or 0 for both to keep the clip's shape.")
    if width:
        if width % side or height % side or min(width, height) < side or max(width, height) > LARGEST_SIDE:
            good = [
                min(max(side, round(value / side) * side), LARGEST_SIDE // side * side) for value in (width, height)
            ]
            raise EX4DError(
                f"{model.base.name} takes sides of {side} to {LARGEST_SIDE} pixels in steps of {side}, got {width}x{height}; "
                f"{good[0]}x{good[1]} would do."
            )
        return width, height
    pixels = size[0] * size[1]
    shrink = min(1.0, (model.base.most_pixels / pixels) ** 0.5)
    if shrink < 1:
        notes.append(f"{size[0]}x{size[1]} is larger than {model.base.name} is made for.")
    new_width, new_height = (max(side, round(value * shrink / side) * side) for value in size)
    return new_width, new_height


def _tell_placement(size: tuple[int, int], placement: PicturePlacement, fit: Fit, notes: list[str]) -> None:
    if size == (placement.width, placement.height):
        return
    said = f"{size[0]}x{size[1]} becomes {placement.width}x{placement.height}"
    over = (placement.scaled_width - placement.width, placement.scaled_height - placement.height)
    if fit == "crop" and any(over):
        said += f", of which {over[0] or over[1]} {'columns' if over[0] else 'rows'} are cut"
    elif fit == "pad" and not placement.covers:
        said += f", of which {-(over[0] or over[1])} {'columns' if over[0] else 'rows'} are bars, and holes"
    elif fit == "stretch" and placement.width * size[1] != placement.height * size[0]:
        said += ", stretched"
    notes.append(said + ".")
