"""From videos to a cache of prepared clips.

Every video leaves a record, ``videos/000012.json``: the clips that came of it, or why there is none. So work that ended
early goes on where it was, machines share it by numbers, and nothing is dropped without a word. Whoever finishes last
writes the index.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..depth import DepthClip
from ..errors import Cancelled, EX4DError
from ..mesh import build_dw_mesh
from ..published import FPS, FRAMES, HEIGHT, WIDTH
from ..storage.staging import staged_file
from ..video import VideoClip, load_video, probe_video
from ..video.sampling import output_length
from ..wan.backbone import WAN21_I2V
from ..wan.prompts import PROMPT
from .cache import KEY, SPLITS, VERSION, CachedClip, write_clip, write_index
from .draws import stream
from .encoders import Encoders
from .masks import MaskSettings, crop_frames, crop_mask, draw_crop, needs_mesh, simulate_mask
from .scenes import cuts, windows
from .step import Sample
from .times import Times
from .trackers import Tracker, TrackerFailed

RECORDS = "videos"
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif")
AUTO = "auto"
"""The tracker where none is named, and of caches that are older than the choice."""
ONCE = ("reading", "depth", "mesh", "clip's latents", "writing")
EACH = ("masks", "masks' latents")
APART = ("text", "CLIP")
"""Parts of the work by how often they are done; text and CLIP are told apart."""
SEARCHED = 900
"""Frames of a video that are looked through at most: a minute at 15 frames a second."""


@dataclass(frozen=True)
class Video:
    """One line of the manifest.

    Attributes:
        path: of the video.
        caption: what it shows; None for the published prompt.
        depth: a file with its depth; None where there is none.
        split: "train" or "validation".
    """

    path: str
    caption: str | None = None
    depth: str | None = None
    split: str = SPLITS[0]


@dataclass(frozen=True)
class PrepareSettings:
    """What clips are made like; all of it is part of the cache's key.

    Attributes:
        frames, size, fps: of every clip; 4n + 1 frames, (width, height) in multiples of 16.
        variants: masks for each clip.
        per_video: clips of one video at most.
        crop: let a window wander over every variant; then each has a target of its own, so there is one variant a clip.
        masks: how they are made.
        seed: of all draws.
        tracker: name of what follows points, and what tells its weights from others.
    """

    frames: int = FRAMES
    size: tuple[int, int] = (WIDTH, HEIGHT)
    fps: float = FPS
    variants: int = 4
    per_video: int = 1
    crop: bool = False
    masks: MaskSettings = field(default_factory=MaskSettings)
    seed: int = 0
    tracker: str = AUTO

    def __post_init__(self) -> None:
        WAN21_I2V.check_frames(self.frames)
        WAN21_I2V.check_size(*self.size)
        if self.variants < 1 or self.per_video < 1:
            raise EX4DError(
                f"A clip has at least one mask and a video one clip, got {self.variants} and {self.per_video}."
            )
        if self.crop and self.variants > 1:
            raise EX4DError(
                f"A wandering crop gives every mask a clip of its own; one variant is possible, not {self.variants}."
            )


@dataclass(frozen=True)
class Prepared:
    """What came of the videos that this process took.

    Attributes:
        clips: made now or before.
        dropped: video -> why there is none of it.
        left: videos that other processes have not finished; the index is written when there are none.
        made: clips that this process made now.
        seconds: part of the work -> what it took for them; those of `ONCE` for each clip, of `EACH` for each mask.
    """

    clips: int
    dropped: dict[str, str]
    left: int
    made: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)

    def summary(self, variants: int) -> str:
        """What a clip took here: with one mask, each further mask, and text and CLIP apart; empty where none was made.

        Args:
            variants: masks of each clip.
        """
        if not self.made:
            return ""
        once, mask = ({name: self.seconds.get(name, 0.0) / self.made for name in names} for names in (ONCE, EACH))
        each = sum(mask.values()) / variants
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in (once | mask).items())
        apart = ", ".join(f"{name} {self.seconds.get(name, 0.0) / self.made:.2f} s" for name in APART)
        return (
            f"a clip takes {sum(once.values()) + each:.2f} s with one mask, {each:.2f} s for each further one ({parts} for "
            f"{variants}); {apart}"
        )


def read_manifest(source: str | Path) -> tuple[Video, ...]:
    """The videos of a folder, in the order of their names, or those of a .jsonl with video, caption, depth, split.

    Paths in a .jsonl are relative to it.

    Raises:
        EX4DError: nothing there, or a line that is no entry.
    """
    source = Path(source)
    if source.is_dir():
        found = tuple(Video(str(path)) for path in sorted(source.iterdir()) if path.suffix.lower() in VIDEO_SUFFIXES)
        if not found:
            raise EX4DError(f"The folder '{source}' holds no videos ({', '.join(VIDEO_SUFFIXES)}).")
        return found
    if not source.is_file():
        raise EX4DError(f"There is neither a folder nor a manifest at '{source}'.")
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EX4DError(f"The manifest '{source}' cannot be read as UTF-8 text: {error}.") from error
    videos = [
        _entry(line, f"Line {number} of '{source}'", source.parent)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not videos:
        raise EX4DError(f"The manifest '{source}' names no videos.")
    return tuple(videos)


def _entry(line: str, where: str, folder: Path) -> Video:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise EX4DError(f"{where} is no JSON: {error}.") from error
    if not isinstance(values, dict) or not isinstance(values.get("video"), str):
        raise EX4DError(f'{where} names no video; expected {{"video": "a.mp4"}}.')
    unknown = [key for key in values if key not in ("video", "caption", "depth", "split")]
    if unknown:
        raise EX4DError(f"{where} has the key {unknown[0]!r}; known are video, caption, depth and split.")
    for key in ("caption", "depth"):
        if not isinstance(values.get(key), str | None):
            raise EX4DError(f"{where}: {key} must be text, got {values[key]!r}.")
    split = values.get("split", SPLITS[0])
    if split not in SPLITS:
        raise EX4DError(f"{where}: split must be one of {', '.join(SPLITS)}, got {split!r}.")
    depth = values.get("depth")
    return Video(
        str(folder / values["video"]), values.get("caption"), None if depth is None else str(folder / depth), split
    )


def prepare(
    videos: Sequence[Video],
    folder: str | Path,
    settings: PrepareSettings,
    encoders: Encoders,
    *,
    depth_of: Callable[[Video, VideoClip], DepthClip] | None = None,
    tracker: Tracker | None = None,
    device: torch.device | str = "cpu",
    part: tuple[int, int] = (0, 1),
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Prepared:
    """Make the clips of every video that has no record yet.

    Args:
        videos: all of them, in the same order for every process.
        folder: of the cache.
        settings: of every clip.
        encoders: into latents and features.
        depth_of: the depth of a loaded clip; None where no mask is rendered.
        tracker: where masks follow points.
        device: where meshes are made, and masks rendered from them.
        part: (number of this process, how many share the work).
        progress: called with (videos done by this process, videos of it).
        cancel: polled between and within videos.

    Raises:
        EX4DError: a cache made with something else (names the field), a disk that refuses, or a tracker that fails. What is
            wrong with a video does not raise: it is dropped, with its reason in the record.
        Cancelled: ``cancel`` returned True; finished videos stay.
    """
    folder = Path(folder)
    key = cache_key(settings, encoders)
    check_folder(folder, key)
    times, made = Times(), 0
    mine = [number for number in range(len(videos)) if number % part[1] == part[0]]
    for done, number in enumerate(mine):
        if cancel is not None and cancel():
            raise Cancelled
        if not _record(folder, number).exists():
            made += _prepare_video(
                folder, number, videos[number], settings, encoders, depth_of, tracker, device, cancel, times
            )
        elif json.loads(_record(folder, number).read_text(encoding="utf-8"))["video"] != videos[number].path:
            raise EX4DError(
                f"Video {number} of '{folder}' was {json.loads(_record(folder, number).read_text())['video']}, now it is "
                f"{videos[number].path}. Add videos at the end, or prepare into another folder."
            )
        if progress is not None:
            progress(done + 1, len(mine))
    return replace(finish(folder, videos, key), made=made, seconds=times.seconds)


def cache_key(settings: PrepareSettings, encoders: Encoders) -> dict[str, Any]:
    """What decides the content of a cache, as JSON holds it."""
    values = asdict(settings)
    masks = values.pop("masks")
    flat = values | {f"masks.{name}": value for name, value in masks.items()} | {"encoders": encoders.fingerprint}
    return json.loads(json.dumps(flat))


def check_folder(folder: Path, key: Mapping[str, Any]) -> None:
    """Begin a cache, or go on with one that was begun with the same key.

    Raises:
        EX4DError: it was begun with another; names the field. Nothing is deleted.
    """
    path = folder / KEY
    if not path.exists():
        with staged_file(path, make_folder=True) as part:
            part.write_text(json.dumps({**key, "version": VERSION}, indent=1), encoding="utf-8")
        return
    before = {"tracker": AUTO, **json.loads(path.read_text(encoding="utf-8"))}
    for name, value in {**key, "version": VERSION}.items():
        if before.get(name) != value:
            raise EX4DError(
                f"The clips in '{folder}' were prepared with another {name} ({before.get(name)}, now {value}). Prepare into "
                "another folder, or as before."
            )


def finish(folder: Path, videos: Sequence[Video], key: Mapping[str, Any]) -> Prepared:
    """Gather the records; write the index once all videos have one."""
    clips: list[CachedClip] = []
    dropped: dict[str, str] = {}
    left = 0
    for number in range(len(videos)):
        path = _record(folder, number)
        if not path.exists():
            left += 1
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        clips += [CachedClip(**entry | {"shape": tuple(entry["shape"])}) for entry in record["clips"]]
        if record["reason"]:
            dropped[record["video"]] = record["reason"]
    if not left:
        write_index(folder, clips, key)
    return Prepared(len(clips), dropped, left)


def _record(folder: Path, number: int) -> Path:
    return folder / RECORDS / f"{number:06d}.json"


def _prepare_video(
    folder: Path,
    number: int,
    video: Video,
    settings: PrepareSettings,
    encoders: Encoders,
    depth_of: Callable[[Video, VideoClip], DepthClip] | None,
    tracker: Tracker | None,
    device: torch.device | str,
    cancel: Callable[[], bool] | None,
    times: Times,
) -> int:
    """The clips of a video and its record; how many there are."""
    clips: list[CachedClip] = []
    reason = ""
    try:
        with times.part("reading"):
            starts = find_windows(video.path, settings, cancel)
    except EX4DError as error:
        starts, reason = [], str(error)
    for place, start in enumerate(starts):
        try:
            with times.part("reading"):
                clip = load_video(
                    video.path,
                    start=start,
                    count=settings.frames,
                    fps=settings.fps,
                    size=settings.size,
                    fit="crop",
                    cancel=cancel,
                )
            with times.part("depth"):
                depth = None if depth_of is None or not needs_mesh(settings.masks.kind) else depth_of(video, clip)
            first = number * settings.per_video + place
            sample, variants = make_clip(
                clip, depth, video.caption, first, settings, encoders, tracker, cancel, device=device, times=times
            )
        except TrackerFailed:
            raise
        except EX4DError as error:
            reason = str(error)
            continue
        shape = sample.target.shape
        name = f"{Path(video.path).name} from frame {start}"
        file = f"clips/{number:06d}_{place:03d}.safetensors"
        entry = CachedClip(name, file, video.split, settings.variants, (shape[1], shape[2], shape[3]))
        with times.part("writing"):
            write_clip(folder, entry, sample, variants)
        clips.append(entry)
    record = {"video": video.path, "clips": [asdict(clip) for clip in clips], "reason": "" if clips else reason}
    with staged_file(_record(folder, number), make_folder=True) as part:
        part.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return len(clips)


def find_windows(path: str, settings: PrepareSettings, cancel: Callable[[], bool] | None = None) -> list[int]:
    """First frames of the clips that a video gives.

    Raises:
        EX4DError: it cannot be read, or has no stretch that is long enough without a cut.
    """
    info = probe_video(path)
    rate = Fraction(settings.fps).limit_denominator(1001)
    there = None if info.frames is None else output_length(Fraction(info.frames) / info.fps, rate, info.fps)
    count = None if there is None else min(there, SEARCHED)
    if count is not None and count < settings.frames:
        raise EX4DError(f"It has {count} frames at {settings.fps:g} a second; a clip has {settings.frames}.")
    small = (WAN21_I2V.side * 4, WAN21_I2V.side * 4)
    frames = load_video(path, count=count, fps=settings.fps, size=small, fit="stretch", cancel=cancel).frames
    cut = cuts(frames)
    starts = windows(len(frames), cut, settings.frames, settings.per_video)
    if not starts:
        raise EX4DError(
            f"Its {len(frames)} frames have cuts at {', '.join(map(str, cut)) or 'no place'}, and no stretch of "
            f"{settings.frames} without one."
        )
    return starts


def make_clip(
    clip: VideoClip,
    depth: DepthClip | None,
    caption: str | None,
    number: int,
    settings: PrepareSettings,
    encoders: Encoders,
    tracker: Tracker | None,
    cancel: Callable[[], bool] | None = None,
    *,
    device: torch.device | str = "cpu",
    times: Times | None = None,
) -> tuple[Sample, list[tuple[Tensor, Tensor, Tensor]]]:
    """One clip as latents, with its mask variants; see `cache.write_clip`.

    Args:
        clip: its frames.
        depth: of them, where masks are rendered.
        caption: None for the published prompt.
        number: of the clip; its masks are the samples ``number * variants`` and on.
        settings: of every clip.
        encoders: into latents and features.
        tracker: where masks follow points.
        cancel: polled between encodes.
        device: where the mesh is made, and masks rendered from it.
        times: where what each part takes is added.
    """
    times = times or Times()
    frames, mesh = clip.frames, None
    if depth is not None:
        with times.part("mesh"):
            where = depth.depth.to(device)
            mesh = build_dw_mesh(
                frames, where, depth.intrinsics, style="paper", border_depth=depth.border_depth, cancel=cancel
            )
    with times.part("masks"):
        masks = [
            simulate_mask(
                frames, settings.masks, seed=settings.seed, sample=sample, mesh=mesh, tracker=tracker, cancel=cancel
            ).seen
            for sample in range(number * settings.variants, (number + 1) * settings.variants)
        ]
    if settings.crop:
        window = draw_crop(len(frames), stream(settings.seed, number, "crop"))
        frames, masks = crop_frames(frames, window), [crop_mask(seen, window) for seen in masks]
    pictures = frames.float() / 255 * 2 - 1
    variants = []
    for seen in masks:
        if cancel is not None and cancel():
            raise Cancelled
        with times.part("masks' latents"):
            variants.append((*encode_condition(frames, seen, encoders), seen))
    with times.part("clip's latents"):
        target, start = encoders.video(pictures), encode_start(pictures, encoders)
    with times.part("text"):
        text = encoders.text(PROMPT if caption is None else caption)
    with times.part("CLIP"):
        image = encoders.image(frames[0])
    return Sample(target, start, variants[0][0], variants[0][1], text, image, clip.path), variants


def encode_start(pictures: Tensor, encoders: Encoders) -> Tensor:
    """(20, F, H/8, W/8): the mask of the first frame, then the latent of that frame followed by zeros.

    Args:
        pictures: (T, H, W, 3) in -1..1; the first one is whole.
        encoders: gives the VAE.
    """
    first = torch.zeros_like(pictures)
    first[0] = pictures[0]
    latent = encoders.video(first)
    mask = torch.zeros(WAN21_I2V.mask_channels, *latent.shape[1:])
    mask[:, 0] = 1
    return torch.cat([mask, latent])


def encode_condition(frames: Tensor, seen: Tensor, encoders: Encoders) -> tuple[Tensor, Tensor]:
    """Latents of the clip with its holes black, and of the mask, which the VAE sees at +1 and -3.

    Args:
        frames: (T, H, W, 3) uint8.
        seen: (T, H, W) bool.
        encoders: gives the VAE.
    """
    # Holes are cut in bytes and the floats made in place: a clip of them is 150 MB, whose pages cost more than the arithmetic.
    color = (frames * seen[..., None]).float().div_(255).mul_(2).sub_(1)
    mask = torch.where(seen, 1.0, -3.0)[..., None].expand(-1, -1, -1, 3)
    return encoders.video(color), encoders.video(mask)
