"""Time and memory of DepthCrafter's networks at full size, with random weights, beside diffusers' own execution.

    python benchmarks/depthcrafter.py [--frames 49 110] [--size 576x1024] [--modes speed balanced low] [--compile]
                                      [--plain] [--profile] [--output results.json] [--seconds 400]
    python benchmarks/depthcrafter.py --ways [--against FOLDER] [--frames 110] [--modes speed low]
    python benchmarks/depthcrafter.py --first [--against FOLDER] [--frames 110]
    python benchmarks/depthcrafter.py --comfyui ~/comfy/ComfyUI [--frames 49 110] [--modes speed balanced low]

Needs a CUDA card (about 25 GB for the comparison), diffusers and transformers. Nothing is downloaded. With ``--comfyui``
the same clip goes through that checkout's model management, beside plain torch; the pack is then loaded by its path,
as ComfyUI does. ``--ways`` takes each way of being quicker away in turn, one network at a time; with ``--against``, a
folder with another ``ex4d_core`` in it, whole calls of both follow, in turn, and how far their results lie apart.
``--first`` measures the first call of this process alone, compiling included (set TRITON_CACHE_DIR to an empty folder).
``--tiny`` runs either part at toy size on any machine, to test this file.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

PACK = Path(__file__).resolve().parents[1]
GIB = 2**30
MODES = ("speed", "balanced", "low")

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


TINY_UNET = UNET | {
    "block_out_channels": (32, 64, 128, 128),
    "num_attention_heads": (1, 2, 4, 4),
    "cross_attention_dim": 32,
    "layers_per_block": 1,
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 96,
    "sample_size": 8,
}
TINY_VAE = VAE | {"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1, "sample_size": 64}
TINY_CLIP = CLIP | {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 32,
}


def start_comfyui(folder: str, cpu: bool) -> str:
    """Import ComfyUI and load the pack by path; the name under which the pack then is a package."""
    folder = os.path.abspath(os.path.expanduser(folder))
    sys.argv = ["main.py", *(["--cpu"] if cpu else []), "--preview-method", "none"]
    os.chdir(folder)
    sys.path[0] = folder
    import comfy.options

    comfy.options.enable_args_parsing()
    import nodes

    assert asyncio.run(nodes.load_custom_node(str(PACK))), "the pack did not load"
    return next(name for name in sys.modules if name.endswith(".ex4d_core")).removesuffix(".ex4d_core")


class Core:
    """DepthCrafter's modules: the repository's own, or those of the pack inside a ComfyUI.

    The two are never mixed, and never on one path: ComfyUI has a module ``nodes`` of its own.
    """

    def __init__(self, comfyui: str | None, cpu: bool):
        self.pack = start_comfyui(comfyui, cpu) if comfyui else None
        if self.pack is None:
            sys.path.insert(0, str(PACK))
        self.name = f"{self.pack}.ex4d_core" if self.pack else "ex4d_core"

    def module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.name}.depth.depthcrafter.{name}")

    @classmethod
    def of(cls, folder: str) -> Core:
        """Another checkout's core, under a name of its own beside the first."""
        core = cls.__new__(cls)
        core.pack, core.name = None, "other_core"
        place = Path(folder).resolve() / "ex4d_core"
        found = importlib.util.spec_from_file_location(
            core.name, place / "__init__.py", submodule_search_locations=[str(place)]
        )
        assert found is not None and found.loader is not None, f"no ex4d_core in {folder}"
        package = importlib.util.module_from_spec(found)
        sys.modules[core.name] = package
        found.loader.exec_module(package)
        return core

    def host_placement(self) -> Any:
        return importlib.import_module(f"{self.pack}.nodes.depthcrafter").HostPlacement()


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


def build(core: Core, device: torch.device, dtype: torch.dtype, tiny: bool) -> tuple[Any, Any, Any]:
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        unet = UNetSpatioTemporalConditionModel(**(TINY_UNET if tiny else UNET))
        vae = AutoencoderKLTemporalDecoder(**(TINY_VAE if tiny else VAE))
        clip = CLIPVisionModelWithProjection(CLIPVisionConfig(**(TINY_CLIP if tiny else CLIP)))
    unet, vae, clip = (randomise(m, device, dtype) for m in (unet, vae, clip))
    clip.vision_model.embeddings.position_ids = torch.arange(257, device=device)[None]
    encoder = torch.nn.ModuleDict({"encoder": vae.encoder, "quant_conv": vae.quant_conv}).float()
    return core.module("loading").Networks(clip, encoder, unet, vae.decoder, 0.18215), unet, vae


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def reset_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_gib() -> float:
    """Most GPU memory since ``reset_peak``; 0 without a GPU."""
    return round(torch.cuda.max_memory_allocated() / GIB, 2) if torch.cuda.is_available() else 0.0


def timed(work: Callable[[], Any], repeats: int = 2) -> dict[str, float]:
    """Seconds (best of some, after one warm-up) and peak memory of a piece of GPU work."""
    work()
    wait()
    reset_peak()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        wait()
        best = min(best, time.perf_counter() - start)
    return {"seconds": round(best, 4), "peak_gib": peak_gib()}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


def doubled(layers: Any) -> Callable[[Any, torch.Tensor], Any]:
    """``layers.upsampled`` the plain way: the picture doubled, then the stock convolution."""

    def upsampled(upsampler: Any, x: torch.Tensor) -> Any:
        _, channels, height, width = x.shape

        def read(first: int, last: int) -> torch.Tensor:
            pixels = layers.rows_of(x[first:last]).view(-1, height, 1, width, 1, channels)
            pixels = pixels.expand(-1, -1, 2, -1, 2, -1).reshape(-1, 4 * height * width, channels)
            return layers.conv2d(upsampler.conv, layers.image_of(pixels, 2 * height, 2 * width))

        return layers.Source(read, (2 * height, 2 * width), x.dtype, (upsampler.conv,))

    return upsampled


class Ways:
    """What makes the networks quicker, each to be taken away or, where it is none of ours, put on."""

    def __init__(self, core: Core):
        self.layers, self.attention = core.module("layers"), core.module("attention")
        never = 2**62
        self.changes: dict[str, list[tuple[Any, str, Any]]] = {
            "all": [],
            "without phases": [(self.layers, "upsampled", doubled(self.layers))],
            "without cuDNN's attention": [(self.attention, "CUDNN_TOKENS", never)],
            "without attention by products": [(self.attention, "WIDEST_HEAD", never)],
            "without the kernel over time": [(self.layers, "time_kernel", lambda _: None)],
            "with cudnn.benchmark": [(torch.backends.cudnn, "benchmark", True)],
        }

    @contextmanager
    def changed(self, way: str) -> Iterator[None]:
        # The networks import what they use of the layers by name.
        places = [self.layers, sys.modules[self.layers.__name__.replace("layers", "networks")]]
        kept = []
        for owner, name, value in self.changes[way]:
            for place in places if owner is self.layers else [owner]:
                if hasattr(place, name):
                    kept.append((place, name, getattr(place, name)))
                    setattr(place, name, value)
        try:
            yield
        finally:
            for owner, name, value in kept:
                setattr(owner, name, value)


class Bench:
    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.core = Core(args.comfyui, cpu=args.tiny)
        self.nets, self.memory = self.core.module("networks"), self.core.module("memory")
        self.crafter_class = self.core.module("pipeline").DepthCrafter
        self.time_ids = self.core.module("schedule").TIME_IDS
        if args.plain:
            self.core.module("rows").kernels = lambda _: None
        self.device = torch.device("cpu" if args.tiny else "cuda")
        self.dtype = torch.float32 if args.tiny else torch.float16
        self.start = time.perf_counter()
        name = "CPU" if args.tiny else torch.cuda.get_device_name()
        self.results: dict[str, Any] = {"device": name, "torch": torch.__version__}
        self.networks, self.unet, self.vae = build(self.core, self.device, self.dtype, args.tiny)
        self.run = self.memory.Execution(self.device, self.memory.SPEED)

    def note(self, name: str, work: Callable[[], Any]) -> Any:
        if time.perf_counter() - self.start > self.args.seconds:
            print(f"{name}: skipped, out of time", flush=True)
            return None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            result = work()
        except Exception as error:
            traceback.print_exc(limit=4)
            result = {"failed": f"{type(error).__name__}: {error}"[:300]}
            if self.args.tiny:
                raise
        self.results[name] = result
        print(f"[{time.perf_counter() - self.start:5.0f} s] {name}: {json.dumps(result)}", flush=True)
        if self.args.output:
            Path(self.args.output).write_text(json.dumps(self.results, indent=1))
        return result

    def unet_input(self, frames: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator(self.device).manual_seed(3)
        shape = (frames, 8, height // 8, width // 8)
        sample = torch.randn(shape, generator=generator, device=self.device, dtype=self.dtype)
        token = torch.randn(
            (1, 1, self.unet.config.cross_attention_dim), generator=generator, device=self.device, dtype=self.dtype
        )
        return sample, token

    def stock_unet(self, sample: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        ids = torch.tensor([self.time_ids], device=self.device, dtype=self.unet.dtype)
        level = torch.tensor(1.6377, device=self.device)
        return self.unet(sample[None], level, token, ids, return_dict=False)[0][0]

    def our_unet(self, sample: torch.Tensor, token: torch.Tensor, run: Any = None) -> torch.Tensor:
        tokens = token.expand(sample.shape[0], -1, -1)
        return self.nets.denoise(self.unet, sample, 1.6377, tokens, self.time_ids, run or self.run)

    def pixels(self, frames: int, height: int, width: int) -> torch.Tensor:
        generator = torch.Generator(self.device).manual_seed(4)
        return torch.rand((frames, 3, height, width), generator=generator, device=self.device) * 2 - 1

    def latents(self, frames: int, height: int, width: int) -> torch.Tensor:
        return self.unet_input(frames, height, width)[0][:, :4].contiguous()

    def agreement(self) -> dict[str, float]:
        """Relative L2 of both executions in float16 against float32 on one small clip."""
        height, width = (64, 64) if self.args.tiny else (320, 512)
        sample, token = self.unet_input(14, height, width)
        latents = self.latents(8, height, width)
        pixels = self.pixels(2, height, width)
        ours = self.our_unet(sample, token), self.nets.decode(self.vae.decoder, latents, self.run)
        stock = self.stock_unet(sample, token), self.vae.decode(latents, num_frames=8).sample
        encoder: Any = self.networks.encoder
        ours_encoded = self.nets.encode(encoder["encoder"], encoder["quant_conv"], pixels, self.run)
        stock_encoded = self.vae.quant_conv(self.vae.encoder(pixels)).chunk(2, 1)[0]
        half = self.nets.encode(encoder["encoder"], encoder["quant_conv"], pixels.to(self.dtype), self.run)
        self.unet.float(), self.vae.decoder.float()
        exact = self.stock_unet(sample.float(), token.float()), self.vae.decode(latents.float(), num_frames=8).sample
        ours32 = (
            self.our_unet(sample.float(), token.float()),
            self.nets.decode(self.vae.decoder, latents.float(), self.run),
        )
        self.unet.to(self.dtype), self.vae.decoder.to(self.dtype)
        return {
            "unet_ours_fp16": difference(ours[0], exact[0]),
            "unet_stock_fp16": difference(stock[0], exact[0]),
            "unet_ours_fp32": difference(ours32[0], exact[0]),
            "decode_ours_fp16": difference(ours[1], exact[1]),
            "decode_stock_fp16": difference(stock[1], exact[1]),
            "decode_ours_fp32": difference(ours32[1], exact[1]),
            "encode_ours_fp32": difference(ours_encoded, stock_encoded),
            "encode_ours_fp16": difference(half, stock_encoded),
        }

    def clip(self, frames: int, height: int, width: int) -> torch.Tensor:
        return torch.rand((frames, height, width, 3), generator=torch.Generator().manual_seed(5))

    def estimate_gib(self, crafter: Any, mode: str, frames: int, height: int, width: int) -> float:
        needed = crafter.needed_bytes(self.memory.MODES[mode], min(frames, 110), (height, width))
        return round(needed / GIB, 2)

    def end_to_end(self, mode: str, frames: int, height: int, width: int) -> dict[str, Any]:
        """A whole call; the seconds of each stage from the progress reports."""
        crafter = self.crafter_class(self.networks, device=self.device)
        clip = self.clip(frames, height, width)
        marks = [time.perf_counter()]
        wait()
        reset_peak()
        peaks: list[float] = []
        windows = 1 if frames <= 110 else 2
        stops = {0, frames, frames + 5 * windows}

        def progress(done: int, total: int) -> None:
            if done in stops or done == total:
                wait()
                marks.append(time.perf_counter())
                peaks.append(peak_gib())
                reset_peak()

        disparity = crafter(clip, memory=mode, progress=progress)
        seconds = [round(b - a, 3) for a, b in pairwise(marks)]
        return {
            "clip_and_encode_s": seconds[0],
            "unet_s": seconds[1],
            "decode_s": seconds[2],
            "ms_per_frame": round(1000 * (marks[-1] - marks[0]) / frames, 1),
            "peaks_gib": peaks,
            "reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 2) if torch.cuda.is_available() else 0.0,
            "estimate_gib": self.estimate_gib(crafter, mode, frames, height, width),
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
        if self.args.comfyui:
            self.beside_the_host(height, width)
            return
        if self.args.first:
            self.first(height, width)
            return
        if self.args.ways:
            self.note("agreement", self.agreement)
            self.ways(height, width)
            if self.args.against:
                self.in_turn(height, width)
            return
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

    def ways(self, height: int, width: int) -> None:
        """Each network with one way taken away, in turn; a second round of the first shows the drift."""
        for module in self.networks.parts().values():
            self.core.module("loading")._channels_last(module)
        encoder: Any = self.networks.encoder
        frames = self.args.frames[-1]
        latents, pixels = self.latents(8, height, width), self.pixels(4, height, width).to(self.dtype)
        sample, token = self.unet_input(frames, height, width)
        works = {
            f"unet {frames}": lambda: self.our_unet(sample, token),
            "decode 8": lambda: self.nets.decode(self.vae.decoder, latents, self.run),
            "encode 4": lambda: self.nets.encode(encoder["encoder"], encoder["quant_conv"], pixels, self.run),
        }
        choices = Ways(self.core)
        for name, work in works.items():
            for way in (*choices.changes, "all"):
                with choices.changed(way):
                    self.note(f"{name}, {way}", partial(timed, work))
        whole = pixels.float()
        exact = lambda: self.nets.encode(encoder["encoder"], encoder["quant_conv"], whole, self.run)  # noqa: E731
        self.note("encode 4, in float32", partial(timed, exact))
        if self.args.profile:
            for name, work in works.items():
                for line in self.note(f"{name} profile", partial(self.profile, work)) or ():
                    print(line)

    def crafter_of(self, core: Core) -> Any:
        """A ``DepthCrafter`` of one of the cores over the same weights."""
        parts = self.networks.parts()
        networks = core.module("loading").Networks(*parts.values(), self.networks.scaling_factor)
        return core.module("pipeline").DepthCrafter(networks, device=self.device)

    def in_turn(self, height: int, width: int) -> None:
        """Whole calls of the other core and of this one, after one of each; and how far their results lie apart."""
        crafters = {"other": self.crafter_of(Core.of(self.args.against)), "this": self.crafter_of(self.core)}
        frames = self.args.frames[-1]
        clip = self.clip(frames, height, width)
        for mode in self.args.modes:
            home = self.device if mode == "speed" else torch.device("cpu")
            for module in self.networks.parts().values():
                module.to(home)
            results: dict[str, torch.Tensor] = {}
            for turn in range(self.args.turns + 1):
                for name, crafter in crafters.items():
                    label = f"{mode} {frames} {name} " + (f"turn {turn}" if turn else "warm-up")
                    self.note(label, partial(self.staged_call, crafter, clip, mode, results, name))
            if len(results) == 2:
                apart = (results["this"] - results["other"]).abs()
                report = {"largest": float(apart.max()), "mean": float(apart.mean())}
                self.note(f"{mode} {frames} apart", lambda report=report: report)

    def staged_call(
        self, crafter: Any, clip: torch.Tensor, mode: str, results: dict[str, torch.Tensor], name: str
    ) -> dict[str, Any]:
        """A whole call: its seconds by stage, its peak, its result laid into ``results``."""
        frames = len(clip)
        steps = 5 * (1 if frames <= 110 else 2)
        marks: list[float] = []
        wait()
        reset_peak()

        def progress(done: int, total: int) -> None:  # noqa: ARG001, the interface's
            if done in (frames, frames + steps):
                wait()
                marks.append(time.perf_counter())

        began = time.perf_counter()
        results[name] = crafter(clip, memory=mode, progress=progress)
        edges = [began, *marks, time.perf_counter()]
        stages = [round(b - a, 3) for a, b in pairwise(edges)]
        held = round(torch.cuda.max_memory_reserved() / GIB, 2) if torch.cuda.is_available() else 0.0
        return {
            "seconds": round(edges[-1] - began, 3),
            **dict(zip(("encode", "unet", "decode"), stages)),
            "peak_gib": peak_gib(),
            "reserved_gib": held,
        }

    def first(self, height: int, width: int) -> None:
        """The first whole call of this process, of the other core where one is given."""
        core = Core.of(self.args.against) if self.args.against else self.core
        for module in self.networks.parts().values():
            self.core.module("loading")._channels_last(module)
        crafter = self.crafter_of(core)
        for frames in self.args.frames:
            clip = self.clip(frames, height, width)
            label = f"first call, {frames} frames, {'other' if self.args.against else 'this'}"
            self.note(label, partial(self.staged_call, crafter, clip, self.args.modes[0], {}, "first"))

    def beside_the_host(self, height: int, width: int) -> None:
        """Whole calls with plain torch and with ComfyUI's model management, weights in host memory before each."""
        for module in self.networks.parts().values():
            module.to("cpu")
            self.core.module("loading")._channels_last(module)
        crafters = {
            "plain": self.crafter_class(self.networks, device=self.device),
            "host": self.crafter_class(self.networks, self.core.host_placement()),
        }
        for frames in self.args.frames:
            clip = self.clip(frames, height, width)
            self.note(f"warm-up {frames}", lambda clip=clip: self.whole_call(crafters["plain"], clip, "speed")[0])
            for mode in self.args.modes:
                results = {}
                for name, crafter in crafters.items():
                    for turn in ("first", "again"):
                        label = f"{name} {mode} {frames} {turn}"
                        results[name] = self.note_call(label, crafter, clip, mode)
                    self.note(f"{name} {mode} {frames} freed", self.free)
                if len(results) == 2 and None not in results.values():
                    apart = float((results["plain"] - results["host"]).abs().max())
                    self.note(f"{mode} {frames} largest difference", lambda apart=apart: apart)
            self.note(f"host auto {frames}", lambda clip=clip: self.whole_call(crafters["host"], clip, "auto")[0])
            self.note(f"host cancelled {frames}", partial(self.cancelled, crafters["host"], clip))

    def note_call(self, label: str, crafter: Any, clip: torch.Tensor, mode: str) -> torch.Tensor | None:
        disparities: list[torch.Tensor] = []

        def work() -> dict[str, Any]:
            report, disparity = self.whole_call(crafter, clip, mode)
            disparities.append(disparity)
            return report

        self.note(label, work)
        return disparities[0] if disparities else None

    def whole_call(self, crafter: Any, clip: torch.Tensor, mode: str) -> tuple[dict[str, Any], torch.Tensor]:
        wait()
        reset_peak()
        start = time.perf_counter()
        disparity = crafter(clip, memory=mode)
        seconds = time.perf_counter() - start
        report = {
            "seconds": round(seconds, 2),
            "ms_per_frame": round(1000 * seconds / len(clip), 1),
            "peak_gib": peak_gib(),
            "held_after_gib": round(torch.cuda.memory_allocated() / GIB, 2) if torch.cuda.is_available() else 0.0,
            "finite": bool(torch.isfinite(disparity).all()),
        }
        return report, disparity

    def cancelled(self, crafter: Any, clip: torch.Tensor) -> dict[str, Any]:
        """Cancel half-way, as another thread does: how long it takes to stop, and whether the next run is whole."""
        whole, _ = self.whole_call(crafter, clip, "speed")
        asked = threading.Event()
        threading.Timer(whole["seconds"] / 2, asked.set).start()
        # Noted by the poll that is asked next; what the queue of the card still holds comes on top.
        polls = [time.perf_counter()]

        def cancel() -> bool:
            polls.append(time.perf_counter())
            return asked.is_set()

        try:
            crafter(clip, memory="speed", cancel=cancel)
            return {"failed": "it was not cancelled"}
        except Exception as error:  # Cancelled
            wait()
            took = time.perf_counter() - polls[-2]
            return {
                "error": type(error).__name__,
                "seconds_to_stop_at_most": round(took, 3),
                "longest_between_polls": round(max(b - a for a, b in pairwise(polls)), 3),
                "next_run": self.whole_call(crafter, clip, "speed")[0],
            }

    def free(self) -> dict[str, Any]:
        """What POST /free does: the host unloads all its models."""
        import comfy.model_management

        loaded = len(comfy.model_management.current_loaded_models)
        comfy.model_management.unload_all_models()
        comfy.model_management.soft_empty_cache()
        left = {parameter.device.type for m in self.networks.parts().values() for parameter in m.parameters()}
        held = round(torch.cuda.memory_allocated() / GIB, 2) if torch.cuda.is_available() else 0.0
        return {"models": loaded, "weights_now_on": sorted(left), "held_gib": held}

    def networks_alone(self, height: int, width: int) -> None:
        """One pass of each network, weights on the card: diffusers' own execution and ours."""
        encoder: Any = self.networks.encoder
        latents, pixels = self.latents(8, height, width), self.pixels(8, height, width)
        stock = {
            "decode 8": lambda: self.vae.decode(latents, num_frames=8).sample,
            "encode 8": lambda: self.vae.quant_conv(self.vae.encoder(pixels)),
        }
        ours = {
            "decode 8": lambda: self.nets.decode(self.vae.decoder, latents, self.run),
            "encode 8": lambda: self.nets.encode(encoder["encoder"], encoder["quant_conv"], pixels, self.run),
        }
        for frames in self.args.frames:
            sample, token = self.unet_input(frames, height, width)
            stock[f"unet {frames}"] = partial(self.stock_unet, sample, token)
            ours[f"unet {frames}"] = partial(self.our_unet, sample, token)
        for name, work in stock.items():
            self.note(f"{name} stock", partial(timed, work))
        for module in self.networks.parts().values():
            self.core.module("loading")._channels_last(module)
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
        indicator = torch.zeros((1, 8), device=self.device, dtype=self.dtype)

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
    parser.add_argument("--modes", nargs="*", default=["speed", "balanced", "low"], choices=MODES)
    parser.add_argument("--compile", action="store_true", help="also time torch.compile of the stock decoder")
    parser.add_argument("--plain", action="store_true", help="without the Triton kernels, as where Triton is missing")
    parser.add_argument("--profile", action="store_true", help="also list the longest kernels")
    parser.add_argument(
        "--comfyui", help="folder of a ComfyUI checkout: measure its model management beside plain torch"
    )
    parser.add_argument("--ways", action="store_true", help="take each way of being quicker away in turn")
    parser.add_argument("--against", help="folder with another ex4d_core to measure beside this one")
    parser.add_argument("--turns", type=int, default=2, help="whole calls of each after the warm-up, with --against")
    parser.add_argument("--first", action="store_true", help="only the first call of this process")
    parser.add_argument("--tiny", action="store_true", help="toy networks, on the CPU")
    parser.add_argument("--output", help="JSON file for the results")
    parser.add_argument("--seconds", type=float, default=400, help="start nothing new after this time")
    args = parser.parse_args()
    args.output = args.output and os.path.abspath(args.output)
    Bench(args).all()


if __name__ == "__main__":
    main()
