"""Seconds that clips for training take: to prepare, part by part, and to be read while a run goes on.

    python benchmarks/training_data.py [--clips 3 --kind mixed --variants 4]
    python benchmarks/training_data.py --encoders Wan2.1-I2V-14B-480P-Diffusers --device cuda

The clips are of the demo scene, 49 frames of 512x512, with depth files of exact depth. Without --encoders latents and features
are random numbers of the true sizes: their rows then say nothing, all others do. Seconds are of the clock, and of the processor
beside them, which other work on the machine does not change.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ex4d_core.commands.prepare import depth_of
from ex4d_core.demo_scene import DemoScene
from ex4d_core.training.cache import load_sample, open_cache
from ex4d_core.training.encoders import Encoders, load_encoders
from ex4d_core.training.masks import MASK_KINDS, MaskSettings
from ex4d_core.training.prepare import PrepareSettings, Video, prepare
from ex4d_core.training.trackers import choose_tracker
from ex4d_core.video import save_video
from ex4d_core.wan.backbone import WAN21_I2V


def random_encoders() -> Encoders:
    """Of the true sizes, and of no time."""

    def video(pictures: torch.Tensor) -> torch.Tensor:
        return torch.randn(WAN21_I2V.latent_shape(*pictures.shape[:3])[1:])

    text = torch.randn(120, WAN21_I2V.text_width)
    return Encoders(video, lambda _caption: text, lambda _picture: torch.randn(257, 1280), "random")


def write_videos(folder: Path, count: int, frames: int, side: int) -> list[Video]:
    """Films of the demo scene with their depth."""
    scene = DemoScene(side, side, frames, samples=1)
    pictures = [scene.frame(t) for t in range(frames)]
    rgb, depth = (torch.stack(each) for each in zip(*pictures))
    np.savez(folder / "depth.npz", depth=depth.numpy())
    videos = []
    for number in range(count):
        path = folder / f"{number}.mp4"
        save_video(path, rgb, 15)
        videos.append(Video(str(path), depth=str(folder / "depth.npz")))
    return videos


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--clips", type=int, default=3)
    add("--kind", choices=MASK_KINDS, default="mixed")
    add("--variants", type=int, default=4)
    add("--frames", type=int, default=49)
    add("--side", type=int, default=512)
    add("--encoders", help="as for ex4d prepare")
    add("--device", default="cpu")
    args = parser.parse_args()
    size = (args.side, args.side)
    settings = PrepareSettings(args.frames, size, variants=args.variants, masks=MaskSettings(kind=args.kind))
    encoders = load_encoders(args.encoders, device=args.device) if args.encoders else random_encoders()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, *videos = write_videos(folder, args.clips + 1, args.frames, args.side)
        work = partial(prepare, settings=settings, encoders=encoders, tracker=choose_tracker("auto"))
        work = partial(work, depth_of=partial(depth_of, "depth", None))
        work([first], folder / "first")  # what is loaded and compiled on first use is not measured
        began, processor = time.perf_counter(), time.process_time()
        found = work(videos, folder / "clips")
        wall, busy = time.perf_counter() - began, time.process_time() - processor
        print(found.summary(args.variants))
        print(f"together {wall / found.made:.2f} s a clip of the clock, {busy / found.made:.2f} s of the processor")
        cache = open_cache(folder / "clips")
        began, processor = time.perf_counter(), time.process_time()
        reads = 0
        while time.perf_counter() - began < 2:
            load_sample(cache, cache.clips[reads % len(cache.clips)], reads % args.variants)
            reads += 1
        wall, busy = time.perf_counter() - began, time.process_time() - processor
        bytes_ = (cache.folder / cache.clips[0].file).stat().st_size
        print(
            f"a sample is read in {1000 * wall / reads:.1f} ms of the clock, {1000 * busy / reads:.1f} ms of the processor, "
            f"from a file of {bytes_ / 1e6:.1f} MB that is in memory"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
