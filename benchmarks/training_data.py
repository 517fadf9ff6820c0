"""Seconds that clips for training take: to prepare, part by part, and to be read while a run goes on.

    python benchmarks/training_data.py [--clips 3 --kind mixed --variants 4]
    python benchmarks/training_data.py --encoders Wan2.1-I2V-14B-480P-Diffusers --device cuda
    python benchmarks/training_data.py --random --depthcrafter --device cuda            # no weights at hand; --tiny on a CPU

The clips are of the demo scene, 49 frames of 512x512, with depth files of exact depth. Without --encoders and --random latents
and features are random numbers of the true sizes: their rows then say nothing, all others do. With --random the encoders are
networks of the true sizes with random weights, on which their time does not depend; a caption has the tokens of TOKENS, and what
the tokenizer takes is left out. --depthcrafter has DepthCrafter, with random weights too, estimate each clip's depth; what it
finds is noise, so the masks are still rendered from the exact depth, and the row "depth" holds both, the estimate and the
reading of the file. Seconds are of the clock, and of the processor beside them, which other work on the machine does not change.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ex4d_core.commands.prepare import depth_of
from ex4d_core.demo_scene import DemoScene
from ex4d_core.depth import DepthClip
from ex4d_core.published import DEPTH_STEPS
from ex4d_core.training.cache import load_sample, open_cache
from ex4d_core.training.encoders import Encoders, encoders_of, load_encoders
from ex4d_core.training.masks import MASK_KINDS, MaskSettings
from ex4d_core.training.prepare import PrepareSettings, Video, prepare
from ex4d_core.training.trackers import choose_tracker
from ex4d_core.video import VideoClip, save_video
from ex4d_core.wan.backbone import WAN21_I2V

TOKENS = 120
"""Of a caption; the network's time grows with them."""
TEXT = {"vocab_size": 256384, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
IMAGE = {
    "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16, "patch_size": 14,
    "image_size": 224,
}  # fmt: skip
TINY_TEXT = TEXT | {"vocab_size": 64, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
TINY_IMAGE = IMAGE | {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def no_encoders() -> Encoders:
    """Of the true sizes, and of no time."""

    def video(pictures: torch.Tensor) -> torch.Tensor:
        return torch.randn(WAN21_I2V.latent_shape(*pictures.shape[:3])[1:])

    text = torch.randn(TOKENS, WAN21_I2V.text_width)
    return Encoders(video, lambda _caption: text, lambda _picture: torch.randn(257, 1280), "random")


def random_encoders(device: str, tiny: bool) -> Encoders:
    """Wan's VAE, umt5-xxl and CLIP ViT-H as `load_encoders` has them, with random weights."""
    from diffusers import AutoencoderKLWan
    from transformers import BatchEncoding, CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

    def made(dtype: torch.dtype, make: Callable[[], Any]) -> Any:
        usual = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            with torch.device(device):
                return make()
        finally:
            torch.set_default_dtype(usual)

    def tokenizer(text: str, **_options: Any) -> BatchEncoding:
        ids = torch.tensor([[(len(text) + place) % TINY_TEXT["vocab_size"] for place in range(TOKENS)]])
        return BatchEncoding({"input_ids": ids, "attention_mask": torch.ones_like(ids)})

    half = torch.float32 if device == "cpu" else torch.bfloat16
    text = UMT5Config(**(TINY_TEXT if tiny else TEXT), feed_forward_proj="gated-gelu")
    image = CLIPVisionConfig(**(TINY_IMAGE if tiny else IMAGE), hidden_act="gelu")
    return encoders_of(
        made(torch.float32, partial(AutoencoderKLWan, base_dim=8 if tiny else 96)),
        made(half, partial(UMT5EncoderModel, text)),
        tokenizer,
        made(half, partial(CLIPVisionModel, image)),
        device=device,
        fingerprint="random",
    )


def random_depthcrafter(device: str, tiny: bool) -> Callable[[Video, VideoClip], DepthClip]:
    """Depth of a clip as `ex4d prepare --estimate_depth` takes it, thrown away, and then its file's."""
    from benchmarks.depthcrafter import Core, build
    from ex4d_core.depth.depthcrafter.pipeline import DepthCrafter, default_dtype

    where = torch.device(device)
    networks, *_ = build(Core(None, cpu=tiny), where, default_dtype(where), tiny)
    crafter = DepthCrafter(networks, device=where)

    def depth(video: Video, clip: VideoClip) -> DepthClip:
        crafter.depth_clip(clip.frames, steps=DEPTH_STEPS)
        return depth_of("depth", None, video, clip)

    return depth


def write_videos(folder: Path, count: int, frames: int, side: int) -> list[Video]:
    """Films of the demo scene with their depth, and captions that differ: one that was encoded is not encoded again."""
    scene = DemoScene(side, side, frames, samples=1)
    pictures = [scene.frame(t) for t in range(frames)]
    rgb, depth = (torch.stack(each) for each in zip(*pictures))
    np.savez(folder / "depth.npz", depth=depth.numpy())
    videos = []
    for number in range(count):
        path = folder / f"{number}.mp4"
        save_video(path, rgb, 15)
        videos.append(Video(str(path), "a flower turns" + " slowly" * number, str(folder / "depth.npz")))
    return videos


def chosen_encoders(args: argparse.Namespace) -> Encoders:
    """Those that the flags name."""
    if args.encoders:
        return load_encoders(args.encoders, device=args.device)
    return random_encoders(args.device, args.tiny) if args.random else no_encoders()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--clips", type=int, default=3)
    add("--kind", choices=MASK_KINDS, default="mixed")
    add("--variants", type=int, default=4)
    add("--frames", type=int, default=49)
    add("--side", type=int, default=512)
    add("--encoders", help="as for ex4d prepare")
    add("--random", action="store_true", help="encoders of random weights instead")
    add("--depthcrafter", action="store_true", help="DepthCrafter of random weights before each clip's depth is read")
    add("--tiny", action="store_true", help="small networks for --random and --depthcrafter, to try this file")
    add("--device", default="cpu")
    args = parser.parse_args()
    size = (args.side, args.side)
    settings = PrepareSettings(args.frames, size, variants=args.variants, masks=MaskSettings(kind=args.kind))
    encoders = chosen_encoders(args)
    depth = random_depthcrafter(args.device, args.tiny) if args.depthcrafter else partial(depth_of, "depth", None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, *videos = write_videos(folder, args.clips + 1, args.frames, args.side)
        work = partial(
            prepare,
            settings=settings,
            encoders=encoders,
            tracker=choose_tracker("auto"),
            depth_of=depth,
            device=args.device,
        )
        began = time.perf_counter()
        work([first], folder / "first")  # what is loaded and compiled on first use is not measured
        print(f"the first clip, with what is loaded and compiled on first use: {time.perf_counter() - began:.1f} s")
        began, processor = time.perf_counter(), time.process_time()
        found = work(videos, folder / "clips")
        wall, busy = time.perf_counter() - began, time.process_time() - processor
        print(found.summary(args.variants))
        print(f"together {wall / found.made:.2f} s a clip of the clock, {busy / found.made:.2f} s of the processor")
        if args.device.startswith("cuda"):
            print(f"at most {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB of {torch.cuda.get_device_name()}")
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
