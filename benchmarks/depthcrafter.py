"""Time and memory of DepthCrafter's networks at full size, with random weights, beside diffusers' own execution.

    python benchmarks/depthcrafter.py [--frames 49 110] [--size 576x1024] [--modes speed balanced low] [--compile]
                                      [--plain] [--profile] [--output results.json] [--seconds 400]

Needs a CUDA card (about 25 GB for the comparison), diffusers and transformers. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from ex4d_core.depth.depthcrafter import networks as nets
from ex4d_core.depth.depthcrafter import rows
from ex4d_core.depth.depthcrafter.loading import Networks, _channels_last
from ex4d_core.depth.depthcrafter.memory import MODES, SPEED, Execution
from ex4d_core.depth.depthcrafter.pipeline import DepthCrafter
from ex4d_core.depth.depthcrafter.schedule import TIME_IDS

GIB = 2**30

UNET = {
    "in_channels": 8,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "num_attention_heads": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "layers_per_block": 2,
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 768,
    "num_frames": 25,
    "sample_size": 96,
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "sample_size": 768,
    "scaling_factor": 0.18215,
    "force_upcast": True,
}
CLIP = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 224,
    "projection_dim": 1024,
    "hidden_act": "gelu",
}


def randomise(module: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> Any:
    """Random weights of a size that keeps activations near one."""
    module.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(1)
    for name, p in module.named_parameters():
        if p.ndim > 1:
            p.data.normal_(0, 0.7 * p[0].numel() ** -0.5, generator=generator)
        elif "mix_factor" in name:
            p.data.fill_(0.3)
        else:
            p.data.fill_(1.0 if name.endswith("weight") else 0.0)
            p.data.add_(torch.randn(p.shape, generator=generator, device=device), alpha=0.05)
    return module.to(dtype).eval().requires_grad_(False)


def build(device: torch.device) -> tuple[Networks, Any, Any]:
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        unet = UNetSpatioTemporalConditionModel(**UNET)
        vae = AutoencoderKLTemporalDecoder(**VAE)
        clip = CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP))
    unet, vae, clip = (randomise(m, device, torch.float16) for m in (unet, vae, clip))
    clip.vision_model.embeddings.position_ids = torch.arange(257, device=device)[None]
    encoder = torch.nn.ModuleDict({"encoder": vae.encoder, "quant_conv": vae.quant_conv}).float()
    return Networks(clip, encoder, unet, vae.decoder, 0.18215), unet, vae


def timed(work: Callable[[], Any], repeats: int = 2) -> dict[str, float]:
    """Seconds (best of some, after one warm-up) and peak memory of a piece of GPU work."""
    work()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return {"seconds": round(best, 4), "peak_gib": round(torch.cuda.max_memory_allocated() / GIB, 2)}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


class Bench:
    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.device = torch.device("cuda")
        self.start = time.perf_counter()
        self.results: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
        self.networks, self.unet, self.vae = build(self.device)
        self.run = Execution(self.device, SPEED)

    def note(self, name: str, work: Callable[[], Any]) -> Any:
        if time.perf_counter() - self.start > self.args.seconds:
            print(f"{name}: skipped, out of time", flush=True)
            return None
        torch.cuda.empty_cache()
        try:
            result = work()
        except Exception as error:
            traceback.print_exc(limit=4)
            result = {"failed": f"{type(error).__name__}: {error}"[:300]}
        self.results[name] = result
        print(f"[{time.perf_counter() - self.start:5.0f} s] {name}: {json.dumps(result)}", flush=True)
        if self.args.output:
            Path(self.args.output).write_text(json.dumps(self.results, indent=1))
        return result

    def unet_input(self, frames: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator(self.device).manual_seed(3)
        shape = (frames, 8, height // 8, width // 8)
        sample = torch.randn(shape, generator=generator, device=self.device, dtype=torch.float16)
        token = torch.randn((1, 1, 1024), generator=generator, device=self.device, dtype=torch.float16)
        return sample, token

    def stock_unet(self, sample: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        ids = torch.tensor([TIME_IDS], device=self.device, dtype=self.unet.dtype)
        level = torch.tensor(1.6377, device=self.device)
        return self.unet(sample[None], level, token, ids, return_dict=False)[0][0]

    def our_unet(self, sample: torch.Tensor, token: torch.Tensor, run: Execution | None = None) -> torch.Tensor:
        tokens = token.expand(sample.shape[0], -1, -1)
        return nets.denoise(self.unet, sample, 1.6377, tokens, TIME_IDS, run or self.run)

    def pixels(self, frames: int, height: int, width: int) -> torch.Tensor:
        generator = torch.Generator(self.device).manual_seed(4)
        return torch.rand((frames, 3, height, width), generator=generator, device=self.device) * 2 - 1

    def latents(self, frames: int, height: int, width: int) -> torch.Tensor:
        return self.unet_input(frames, height, width)[0][:, :4].contiguous()

    def agreement(self) -> dict[str, float]:
        """Relative L2 of both executions in float16 against float32 on one small clip."""
        sample, token = self.unet_input(14, 320, 512)
        latents = self.latents(8, 320, 512)
        pixels = self.pixels(2, 320, 512)
        ours = self.our_unet(sample, token), nets.decode(self.vae.decoder, latents, self.run)
        stock = self.stock_unet(sample, token), self.vae.decode(latents, num_frames=8).sample
        encoder: Any = self.networks.encoder
        ours_encoded = nets.encode(encoder["encoder"], encoder["quant_conv"], pixels, self.run)
        stock_encoded = self.vae.quant_conv(self.vae.encoder(pixels)).chunk(2, 1)[0]
        self.unet.float(), self.vae.decoder.float()
        exact = self.stock_unet(sample.float(), token.float()), self.vae.decode(latents.float(), num_frames=8).sample
        ours32 = self.our_unet(sample.float(), token.float()), nets.decode(self.vae.decoder, latents.float(), self.run)
        self.unet.half(), self.vae.decoder.half()
        return {
            "unet_ours_fp16": difference(ours[0], exact[0]),
            "unet_stock_fp16": difference(stock[0], exact[0]),
            "unet_ours_fp32": difference(ours32[0], exact[0]),
            "decode_ours_fp16": difference(ours[1], exact[1]),
            "decode_stock_fp16": difference(stock[1], exact[1]),
            "decode_ours_fp32": difference(ours32[1], exact[1]),
            "encode_ours_fp32": difference(ours_encoded, stock_encoded),
        }

    def end_to_end(self, mode: str, frames: int, height: int, width: int) -> dict[str, Any]:
        """A whole call; the seconds of each stage from the progress reports."""
        crafter = DepthCrafter(self.networks, device=self.device)
        clip = torch.rand((frames, height, width, 3), generator=torch.Generator().manual_seed(5))
        marks = [time.perf_counter()]
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        peaks: list[float] = []
        windows = 1 if frames <= 110 else 2
        stops = {0, frames, frames + 5 * windows}

        def progress(done: int, total: int) -> None:
            if done in stops or done == total:
                torch.cuda.synchronize()
                marks.append(time.perf_counter())
                peaks.append(round(torch.cuda.max_memory_allocated() / GIB, 2))
                torch.cuda.reset_peak_memory_stats()

        disparity = crafter(clip, memory=mode, progress=progress)
        seconds = [round(b - a, 3) for a, b in pairwise(marks)]
        return {
            "clip_and_encode_s": seconds[0],
            "unet_s": seconds[1],
            "decode_s": seconds[2],
            "ms_per_frame": round(1000 * (marks[-1] - marks[0]) / frames, 1),
            "peaks_gib": peaks,
            "reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 2),
            "estimate_gib": round(crafter.needed_bytes(MODES[mode], min(frames, 110), (height, width)) / GIB, 2),
            "finite": bool(torch.isfinite(disparity).all()),
        }

    def profile(self, work: Callable[[], Any]) -> list[str]:
        from torch.profiler import ProfilerActivity, profile

        work()
        with profile(activities=[ProfilerActivity.CUDA]) as trace:
            work()
            torch.cuda.synchronize()
        events = sorted(trace.key_averages(), key=lambda e: -e.device_time_total)[:16]
        return [f"{e.device_time_total / 1000:8.1f} ms x{e.count:<4d} {e.key[:110]}" for e in events]

    @torch.inference_mode()
    def all(self) -> None:
        height, width = (int(v) for v in self.args.size.split("x"))
        self.note("agreement", self.agreement)
        self.networks_alone(height, width)
        for mode in self.args.modes:
            if mode != "speed":
                for module in self.networks.parts().values():
                    module.to("cpu")
            for frames in self.args.frames:
                self.note(f"{mode} {frames}", partial(self.end_to_end, mode, frames, height, width))
        if self.args.compile:
            self.compare_compiled(height, width)

    def networks_alone(self, height: int, width: int) -> None:
        """One pass of each network, weights on the card: diffusers' own execution and ours."""
        encoder: Any = self.networks.encoder
        latents, pixels = self.latents(8, height, width), self.pixels(8, height, width)
        stock = {
            "decode 8": lambda: self.vae.decode(latents, num_frames=8).sample,
            "encode 8": lambda: self.vae.quant_conv(self.vae.encoder(pixels)),
        }
        ours = {
            "decode 8": lambda: nets.decode(self.vae.decoder, latents, self.run),
            "encode 8": lambda: nets.encode(encoder["encoder"], encoder["quant_conv"], pixels, self.run),
        }
        for frames in self.args.frames:
            sample, token = self.unet_input(frames, height, width)
            stock[f"unet {frames}"] = partial(self.stock_unet, sample, token)
            ours[f"unet {frames}"] = partial(self.our_unet, sample, token)
        for name, work in stock.items():
            self.note(f"{name} stock", partial(timed, work))
        for module in self.networks.parts().values():
            _channels_last(module)
        for name, work in ours.items():
            self.note(f"{name} ours", partial(timed, work))
        if self.args.profile:
            for name, work in ours.items():
                for line in self.note(f"{name} profile", partial(self.profile, work)) or ():
                    print(line)

    def compare_compiled(self, height: int, width: int) -> None:
        self.vae.decoder.to(self.device)
        latents = self.latents(8, height, width)
        compiled = torch.compile(self.vae.decoder, dynamic=False)
        indicator = torch.zeros((1, 8), device=self.device, dtype=torch.float16)

        def first() -> dict[str, float]:
            start = time.perf_counter()
            compiled(latents, num_frames=8, image_only_indicator=indicator)
            torch.cuda.synchronize()
            return {"seconds": round(time.perf_counter() - start, 1)}

        self.note("decode 8 stock, torch.compile, first call", first)
        self.note(
            "decode 8 stock, torch.compile",
            lambda: timed(lambda: compiled(latents, num_frames=8, image_only_indicator=indicator)),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[49, 110])
    parser.add_argument("--size", default="576x1024", help="height x width")
    parser.add_argument("--modes", nargs="*", default=["speed", "balanced", "low"], choices=list(MODES))
    parser.add_argument("--compile", action="store_true", help="also time torch.compile of the stock decoder")
    parser.add_argument("--plain", action="store_true", help="without the Triton kernels, as where Triton is missing")
    parser.add_argument("--profile", action="store_true", help="also list the longest kernels")
    parser.add_argument("--output", help="JSON file for the results")
    parser.add_argument("--seconds", type=float, default=400, help="start nothing new after this time")
    args = parser.parse_args()
    if args.plain:
        rows.kernels = lambda x: None
    Bench(args).all()


if __name__ == "__main__":
    main()
