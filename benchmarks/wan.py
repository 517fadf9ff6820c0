"""Time and memory of the adapter on a full-size Wan2.1 I2V model with random weights, inside a ComfyUI checkout.

    python benchmarks/wan.py --comfyui ~/comfy/ComfyUI --parts overhead full few long compile fp8 memory

Run it from anywhere but ComfyUI's environment's own "nodes" folder; ComfyUI becomes the working folder and the pack is
loaded by path, as ComfyUI does. Prints one JSON line a measurement. Random weights: times and sizes mean something,
pictures do not. ``--tiny`` runs everything at toy size on any machine, to test this file.

``overhead``, ``kernels``, ``few``, ``full`` and ``large`` keep two models on the card, a plain one and one with the
adapter (66 GiB). ``result`` compares runs under different flags of ComfyUI:

    python benchmarks/wan.py --comfyui ~/comfy/ComfyUI --parts result --layers 8 --reference /tmp/normal.pt
    python benchmarks/wan.py --comfyui ~/comfy/ComfyUI --parts result --layers 8 --reference /tmp/normal.pt --flags=--novram

``accelerators``, ``accelerators_fp8`` and ``tiles`` run the host's own accelerators with the adapter, alone and together
(SageAttention where the package is installed); the parts of 4DNeX stand in a file of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

from wan_accelerators import Accelerators
from wan_fourdnex import FourDNeX

PACK = Path(__file__).resolve().parents[1]
GIB = 2**30
PARTS = (
    "overhead", "kernels", "full", "few", "long", "windows", "large", "compile", "fp8", "memory", "result", "fourdnex",
    "fourdnex_run", "fourdnex_memory", "accelerators", "accelerators_fp8", "tiles",
)  # fmt: skip
BY_DEFAULT = ("overhead", "full", "few", "long", "compile", "fp8", "memory")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", required=True, help="folder of a ComfyUI checkout")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(BY_DEFAULT))
    parser.add_argument("--limits", nargs="+", type=float, default=[24, 16, 12], help="GiB of GPU memory, for memory")
    parser.add_argument("--limit", type=float, help="GiB of GPU memory, for result")
    parser.add_argument(
        "--dtype", choices=("bf16", "fp16"), default="bf16", help="of the weights and of the computation"
    )
    parser.add_argument("--layers", type=int, help="blocks of the model, instead of all 40")
    parser.add_argument("--flags", nargs="+", default=[], help="flags for ComfyUI, as --flags=--novram")
    parser.add_argument("--reference", help="file for result: written by the first run, compared with by others")
    parser.add_argument("--tiny", action="store_true", help="toy sizes")
    parser.add_argument("--output", help="also append the JSON lines to this file")
    args = parser.parse_args()
    args.output, args.reference = (path and os.path.abspath(path) for path in (args.output, args.reference))
    bench = Bench(args)
    for part in args.parts:
        try:
            with bench.torch.inference_mode():  # as ComfyUI executes nodes
                getattr(bench, part)()
        except Exception as error:
            bench.say(part=part, failed=f"{type(error).__name__}: {error}"[:300])
            if args.tiny:
                raise
    return 0


def start_comfyui(folder: str, tiny: bool, flags: list[str]):
    """Import ComfyUI and load the pack by path; returns both sides' modules."""
    folder = os.path.abspath(os.path.expanduser(folder))
    sys.argv = ["main.py", *(["--cpu"] if tiny else []), "--preview-method", "none", *flags]
    os.chdir(folder)
    sys.path[0] = folder
    import comfy.options

    comfy.options.enable_args_parsing()
    import nodes

    assert asyncio.run(nodes.load_custom_node(str(PACK))), "the pack did not load"
    core = next(name for name in sys.modules if name.endswith("ex4d_core"))
    paths = ("wan.checkpoint", "wan.clip", "wan.host.conditioning", "wan.host.patch")
    wan = {path.rpartition(".")[2]: importlib.import_module(f"{core}.{path}") for path in paths}
    halves = (
        "wan.fourdnex.checkpoint",
        "wan.fourdnex.condition",
        "wan.host.fourdnex.conditioning",
        "wan.host.fourdnex.patch",
    )
    fourdnex = {path.rpartition(".")[2]: importlib.import_module(f"{core}.{path}") for path in halves}
    return SimpleNamespace(nodes=nodes.NODE_CLASS_MAPPINGS, fourdnex=SimpleNamespace(**fourdnex), **wan)


class Bench(FourDNeX, Accelerators):
    """Random models of full size and the measurements on them."""

    def __init__(self, args):
        began = time.perf_counter()
        self.args, self.pack = args, start_comfyui(args.comfyui, args.tiny, args.flags)
        import comfy.model_management
        import torch

        self.torch, self.mm = torch, comfy.model_management
        self.device = self.mm.get_torch_device()
        self.size = (
            {"dim": 256, "ffn_dim": 512, "num_layers": 2, "num_heads": 2}
            if args.tiny
            else {"dim": 5120, "ffn_dim": 13824, "num_layers": 40, "num_heads": 40}
        )
        if args.layers:
            self.size["num_layers"] = args.layers
        self.side, self.hidden = (64, 64) if args.tiny else (512, 1024)
        self.frames = 9 if args.tiny else 49
        torch.manual_seed(0)
        self.adapter = self.pack.checkpoint.parse_adapter(self.adapter_state(), "random")
        self.vae = self.random_vae()
        text = [self.normal(1, 512, 4096) for _ in range(2)]
        self.positive, self.negative = [[text[0], {}]], [[text[1], {}]]
        self.vision = SimpleNamespace(penultimate_hidden_states=self.normal(1, 257, 1280))
        self.say(part="setup", seconds=round(time.perf_counter() - began, 1), torch=torch.__version__)

    @cached_property
    def plain(self):
        """Wan without anything of the adapter."""
        off = self.pack.patch.PriorSettings(strength=0.0)
        return self.pack.patch.add_adapter(self.load(), self.adapter, 0.0, off)

    @cached_property
    def adapted(self):
        """The adapter on a model of its own with the same weights: both can stay on the card."""
        return self.with_adapter(self.load(), self.adapter)

    # ---- random parts ------------------------------------------------------------------------------------------

    def normal(self, *shape, scale=1.0, dtype=None):
        torch = self.torch
        return (torch.randn(*shape, device=self.device) * scale).to("cpu", dtype or torch.float32)

    def load(self, **options):
        """A Wan I2V MODEL through ComfyUI's own loader.

        In the dtype its weights were drawn in: left alone, ComfyUI computes a bf16 file in fp16, and values with empty
        low bits draw less power and run faster than merged ones, which fill them.
        """
        import comfy.ldm.wan.model
        import comfy.ops
        import comfy.sd

        torch = self.torch
        torch.manual_seed(1)
        wanted = torch.bfloat16 if self.args.dtype == "bf16" else torch.float16
        dtype = torch.float32 if self.args.tiny else wanted
        shapes = comfy.ldm.wan.model.WanModel(
            model_type="i2v",
            in_dim=36,
            **self.size,
            device="meta",
            dtype=dtype,
            operations=comfy.ops.disable_weight_init,
        ).state_dict()
        state = {}
        for key, value in shapes.items():
            if "norm" in key and key.endswith("weight"):
                state[key] = torch.ones(value.shape, dtype=dtype)
            else:
                state[key] = self.normal(*value.shape, scale=0.02, dtype=dtype)
        return comfy.sd.load_diffusion_model_state_dict(state, model_options={"dtype": dtype} | options)

    def adapter_state(self) -> dict:
        dim, ffn, checkpoint = self.size["dim"], self.size["ffn_dim"], self.pack.checkpoint
        widths = {"ffn.0": (dim, ffn), "ffn.2": (ffn, dim)}
        state = {}
        for block in range(self.size["num_layers"]):
            for module in checkpoint.BLOCK_MODULES:
                given, made = widths.get(module, (dim, dim))
                state[f"blocks.{block}.{module}.lora_A.default.weight"] = self.normal(16, given, scale=0.01)
                state[f"blocks.{block}.{module}.lora_B.default.weight"] = self.normal(made, 16, scale=0.01)
        for layer, width in ((0, 32), (2, self.hidden), (4, self.hidden)):
            state[f"latent_encoder.{layer}.weight"] = self.normal(self.hidden, width, 1, 1, 1, scale=0.02)
            state[f"latent_encoder.{layer}.bias"] = self.normal(self.hidden, scale=0.02)
        state["latent_patch_embedding.weight"] = self.normal(dim, self.hidden, 1, 2, 2, scale=0.2)
        state["latent_patch_embedding.bias"] = self.normal(dim, scale=0.02)
        return state

    def with_adapter(self, model, adapter):
        return self.pack.patch.add_adapter(model, adapter, 1.0, self.pack.patch.PriorSettings())

    def random_vae(self):
        import comfy.ldm.wan.vae
        import comfy.sd

        full, small = comfy.ldm.wan.vae.WanVAE, {"dim": 8} if self.args.tiny else {"dim": 96}
        config = {"z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_scales": []}
        network = full(**small, **config, temperal_downsample=[False, True, True])
        state = {k: self.normal(*v.shape, scale=v[0].numel() ** -0.5 if v.ndim > 1 else 0.05)
                 for k, v in network.state_dict().items()}  # fmt: skip
        for key in state:
            if key.endswith("gamma"):
                state[key] += 1
        comfy.ldm.wan.vae.WanVAE = lambda **given: full(**{**given, **small})
        try:
            return comfy.sd.VAE(state)
        finally:
            comfy.ldm.wan.vae.WanVAE = full

    def clip(self, frames, width=0, height=0):
        """Colour and mask of a drifting gradient with a hole that opens."""
        torch = self.torch
        across, down = torch.linspace(0, 1, width or self.side), torch.linspace(0, 1, height or self.side)
        color = torch.stack([(across[None, :] + down[:, None] + 0.02 * t) % 1 for t in range(frames)])
        mask = torch.stack([(across >= 0.5 * t / frames).float().expand(len(down), -1) for t in range(frames)])
        return color[..., None].expand(-1, -1, -1, 3).contiguous(), mask

    # ---- running and measuring ---------------------------------------------------------------------------------

    def say(self, **values):
        line = json.dumps(values)
        print(line, flush=True)
        if self.args.output:
            with open(self.args.output, "a", encoding="utf-8") as file:
                file.write(line + "\n")

    def sync(self):
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()

    def peak(self, reset=False) -> float:
        if self.device.type != "cuda":
            return 0.0
        if reset:
            self.torch.cuda.reset_peak_memory_stats()
        return self.torch.cuda.max_memory_allocated() / GIB

    def timed(self, work) -> float:
        self.sync()
        began = time.perf_counter()
        with self.torch.inference_mode():
            work()
        self.sync()
        return time.perf_counter() - began

    def ready(self, model, frames=None, width=0, height=0):
        """Conditioning for one clip, encoded."""
        color, mask = self.clip(frames or self.frames, width, height)
        clip = self.pack.clip.prepare_clip(color, mask)
        with self.torch.inference_mode():
            return self.pack.conditioning.condition(
                model, self.vae, self.positive, self.negative, clip, clip_vision=self.vision
            )

    def steps(self, ready, count, cfg, watch=True):
        """Seconds of each step, peak GiB, and the batch of each forward."""
        import comfy.patcher_extension
        import comfy.sample
        import comfy.samplers

        torch, batches, marks = self.torch, [], []
        model = ready.model.clone()

        def note(executor, x, *args, **kwargs):
            batches.append(x.shape[0])
            return executor(x, *args, **kwargs)

        def mark(*_):
            self.sync()
            marks.append(time.perf_counter())

        if watch:  # a compiler would see a list that grows, and compile anew at every step
            model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "bench", note)
        self.peak(reset=True)
        with torch.inference_mode():
            comfy.sample.sample_custom(
                model, torch.randn(ready.latent["samples"].shape), cfg, comfy.samplers.sampler_object("euler"),
                torch.linspace(1, 0, count + 1), ready.positive, ready.negative, ready.latent["samples"],
                callback=mark, disable_pbar=True, seed=0,
            )  # fmt: skip
        return [b - a for a, b in pairwise(marks)], self.peak(), batches

    def node(self, model, frames, **settings):
        """The sampler node, as ComfyUI calls it."""
        color, mask = self.clip(frames)
        values = {
            "seed": 0, "mode": "full", "steps": 25, "cfg": 5.0, "few_steps": 4, "shift": 5.0, "sampler_name": "euler",
            "scheduler": "published", "frames": 0, "width": 0, "height": 0, "fit": "stretch", "erosion": "random",
            "erosion_size": 5, "erosion_seed": 0, "segment_frames": self.frames, "segment_overlap": 9 if frames > 9 else 5,
            "vae_tiles": "off", "positive": self.positive, "negative": self.negative, "clip_vision_output": self.vision,
        }  # fmt: skip
        sampler = self.pack.nodes["WanEX4DSampler"]
        return sampler.execute(model=model, vae=self.vae, color=color, mask=mask, **values | settings)

    # ---- parts -------------------------------------------------------------------------------------------------

    def overhead(self):
        """Step time and memory of the adapter against the plain model, taken in turns.

        A card at its power limit runs slower or faster with the numbers it computes on, so every comparison is also
        made with the two models' weights exchanged: ``adapter`` is what the adapter costs on equal weights, ``weights``
        what the merged weights cost without it.
        """
        ready, peaks = {}, {}
        self.mm.unload_all_models()
        for name in ("plain", "adapted"):
            ready[name] = self.ready(getattr(self, name))
            others = self.plain.loaded_size() / GIB if name == "adapted" else 0.0
            peaks[name] = {cfg: self.steps(ready[name], 2, cfg)[1] - others for cfg in (1.0, 5.0)}
        variants = {**ready, "lora": self.without_prior(ready["adapted"])}
        for cfg, rounds in ((1.0, 3), (5.0, 2)):
            with Sensors(self.device) as sensors:
                times, spans, batches = self.in_turns(variants, cfg, rounds)
            middle = {name: statistics.median(values) for name, values in times.items()}

            def percent(one, other, middle=middle):
                return round(100 * (middle[one] / middle[other] - 1), 2)

            self.say(
                part="overhead", cfg=cfg, batch=batches[-1], forwards=len(batches),
                step={name: round(value, 4) for name, value in middle.items()},
                spread={name: round(max(v) - min(v), 4) for name, v in times.items()},
                percent=percent("adapted", "plain"),
                adapter=[percent("adapted", "plain merged"), percent("adapted unmerged", "plain")],
                weights=[percent("plain merged", "plain"), percent("lora", "lora unmerged")],
                sensors={name: sensors.mean(spans[name]) for name in times},
                gib=round(peaks["adapted"][cfg] - peaks["plain"][cfg], 3), peak=round(peaks["adapted"][cfg], 2),
            )  # fmt: skip

    def without_prior(self, ready):
        """The same conditioning on the same merged model, the prior left out."""
        import comfy.patcher_extension

        model = ready.model.clone()
        for kind in ("OUTER_SAMPLE", "DIFFUSION_MODEL"):
            model.remove_wrappers_with_key(getattr(comfy.patcher_extension.WrappersMP, kind), self.pack.patch.KEY)
        return SimpleNamespace(**{**vars(ready), "model": model})

    def in_turns(self, variants, cfg, rounds):
        """Step seconds and times of day of each variant, with its own weights and with the other model's."""
        networks = [variants[name].model.model.diffusion_model for name in ("plain", "adapted")]
        names = [(name, False) for name in variants] + [(name, True) for name in reversed(variants)]
        label = {False: {name: name for name in variants}, True: {"plain": "plain merged"}}
        times, spans, exchanged = {}, {}, False
        for turn in range(rounds):
            for name, exchange in names if turn % 2 == 0 else reversed(names):
                if exchange != exchanged:
                    self.exchange(*networks)
                    exchanged = exchange
                key = label[exchange].get(name, f"{name} unmerged")
                began = time.time()
                seconds, _, batches = self.steps(variants[name], 5, cfg)
                spans.setdefault(key, []).append((began + 1, time.time()))
                times.setdefault(key, []).extend(seconds)
        if exchanged:
            self.exchange(*networks)
        return times, spans, batches

    def exchange(self, one, other):
        """Swap the weights of two networks in place: each keeps its storage, its patches and its hooks."""
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            kept = a.clone()
            a.copy_(b)
            b.copy_(kept)

    def kernels(self):
        """GPU work of a forward, kernel by kernel: what the adapter adds to the plain model's."""
        from torch.profiler import ProfilerActivity, profile

        kind = ProfilerActivity.CUDA if self.device.type == "cuda" else ProfilerActivity.CPU
        seen = {}
        for name in ("plain", "adapted"):
            ready = self.ready(getattr(self, name))
            self.steps(ready, 2, 1.0)
            for count in (2, 3):  # the difference is one step, without what happens once a run
                with profile(activities=[kind]) as trace:
                    self.steps(ready, count, 1.0)
                for event in trace.key_averages():
                    if event.device_time_total:
                        calls, microseconds = seen.setdefault(event.key, {}).get(name, (0, 0))
                        sign = 1 if count == 3 else -1
                        both = (calls + sign * event.count, microseconds + sign * event.device_time_total)
                        seen[event.key][name] = both
        zero, pair = (0, 0), ("plain", "adapted")
        total = {name: round(sum(v.get(name, zero)[1] for v in seen.values()) / 1000, 2) for name in pair}
        rows = [(key[:90], *(v.get(name, zero) for name in pair)) for key, v in seen.items()]
        extra = [row for row in rows if row[1][0] != row[2][0]]
        rows.sort(key=lambda row: -abs(row[2][1] - row[1][1]))
        self.say(part="kernels", milliseconds=total, other_counts=extra[:12], largest_differences=rows[:8])

    def whole(self, part, steps, cfg):
        """The node's run against its stock parts, timed alone in the same process and in turns with it."""
        images, plain = self.clip(self.frames)[0], self.ready(self.plain)
        latent = plain.latent["samples"]
        work = {
            "run": partial(self.node, self.adapted, self.frames, steps=steps, cfg=cfg),
            "encode": partial(self.vae.encode, images),
            "decode": partial(self.vae.decode, latent),
        }
        self.steps(plain, 2, cfg)
        self.node(self.adapted, self.frames, steps=2, cfg=cfg)
        times, seconds = {name: [] for name in work}, []
        for _ in range(3):
            for name, one in work.items():
                times[name].append(self.timed(one))
            more, _, batches = self.steps(plain, min(steps, 10) + 1, cfg)
            seconds += more
        run, encode, decode = (statistics.median(times[name]) for name in work)
        parts = steps * statistics.median(seconds) + 3 * encode + decode
        self.say(
            part=part, run=round(run, 3), runs=[round(r, 3) for r in times["run"]], parts=round(parts, 3),
            percent=round(100 * (run / parts - 1), 2), step=round(statistics.median(seconds), 4), batch=batches[-1],
            encode=round(encode, 3), decode=round(decode, 3), inside=self.inside(work["run"]) if steps < 10 else None,
        )  # fmt: skip

    def inside(self, run):
        """Seconds that one run spends in the stock parts it calls, and outside of them."""
        import comfy.sample

        spent = {}

        def counted(owner, name):
            stock = getattr(owner, name)

            def call(*args, **kwargs):
                self.sync()
                began = time.perf_counter()
                result = stock(*args, **kwargs)
                self.sync()
                spent[name] = spent.get(name, 0) + time.perf_counter() - began
                return result

            setattr(owner, name, call)
            return partial(setattr, owner, name, stock)

        stock = [counted(self.vae, "encode"), counted(self.vae, "decode"), counted(comfy.sample, "sample_custom")]
        try:
            total = self.timed(run)
        finally:
            for put_back in stock:
                put_back()
        return {**{k: round(v, 3) for k, v in spent.items()}, "else": round(total - sum(spent.values()), 3)}

    def full(self):
        self.whole("full", 3 if self.args.tiny else 25, 5.0)

    def few(self):
        self.whole("few", 4, 1.0)

    def long(self):
        """81 and 161 frames at 4 steps, cfg 1: in segments, and 81 at once."""
        for frames, segment in ((81, self.frames), (161, self.frames), (81, 0)):
            if self.args.tiny:
                frames = (frames - 1) // 5 + 1
            self.peak(reset=True)
            run = partial(self.node, self.adapted, frames, mode="few steps", segment_frames=segment)
            seconds = self.timed(run)
            self.say(part="long", frames=frames, segment=segment, seconds=round(seconds, 2), peak=round(self.peak(), 2))

    def windows(self):
        """81 frames at 4 steps, cfg 1, under stock context windows of 49 (ComfyUI 0.8 or newer)."""
        import comfy.context_windows as stock

        frames = 17 if self.args.tiny else 81
        model = self.adapted.clone()
        length, overlap = (self.frames - 1) // 4 + 1, 1 if self.args.tiny else 5
        model.model_options["context_handler"] = stock.IndexListContextHandler(
            context_schedule=stock.get_matching_context_schedule(stock.ContextSchedules.STATIC_STANDARD),
            fuse_method=stock.get_matching_fuse_method(stock.ContextFuseMethods.PYRAMID),
            context_length=length, context_overlap=overlap, dim=2,
        )  # fmt: skip
        runs = []
        for _ in range(2):
            self.peak(reset=True)
            runs.append(self.timed(partial(self.node, model, frames, mode="few steps")))
        self.say(part="windows", frames=frames, runs=[round(r, 2) for r in runs], peak=round(self.peak(), 2))

    def large(self):
        """A step at 1280x720, cfg 1, plain and with the adapter."""
        width, height = (128, 80) if self.args.tiny else (1280, 720)
        values = {}
        for name in ("plain", "adapted"):
            self.mm.unload_all_models()
            began = time.perf_counter()
            ready = self.ready(getattr(self, name), width=width, height=height)
            prepared = time.perf_counter() - began
            seconds, peak, _ = self.steps(ready, 4, 1.0)
            values[name] = {"step": round(statistics.median(seconds), 3), "peak": round(peak, 2)}
            values[name]["prepare"] = round(prepared, 2)
        self.say(part="large", size=f"{width}x{height}", **values)

    def compile(self):
        from comfy_api.torch_helpers import set_torch_compile_wrapper

        ready = self.ready(self.adapted)
        eager, _, _ = self.steps(ready, 5, 1.0)
        compiled = SimpleNamespace(**{**vars(ready), "model": ready.model.clone()})
        set_torch_compile_wrapper(compiled.model, backend="eager" if self.args.tiny else "inductor")
        began = time.perf_counter()
        self.steps(compiled, 2, 1.0, watch=False)
        warm = time.perf_counter() - began
        seconds, _, _ = self.steps(compiled, 5, 1.0, watch=False)
        self.say(
            part="compile", eager=round(statistics.median(eager), 4), compiled=round(statistics.median(seconds), 4),
            first_two_steps=round(warm, 1),
        )  # fmt: skip

    def fp8(self):
        """Weights in float8_e4m3fn, computed in bf16, with and without the adapter."""
        self.mm.unload_all_models()
        model = self.load(dtype=self.torch.float8_e4m3fn)
        off = self.pack.patch.PriorSettings(strength=0.0)
        plain = self.pack.patch.add_adapter(model, self.adapter, 0.0, off)
        values = {}
        for name, one in (("plain", plain), ("adapted", self.with_adapter(model, self.adapter))):
            seconds, peak, _ = self.steps(self.ready(one), 5, 1.0)
            values[name] = {"step": round(statistics.median(seconds), 4), "peak": round(peak, 2)}
        self.say(part="fp8", **values)

    def memory(self):
        """A 4-step run with only so much GPU memory left free by another process."""
        for limit in self.args.limits:
            self.say(part="memory", **self.held_to(limit, self.ready(self.adapted), self.few_steps))

    def few_steps(self):
        return self.node(self.adapted, self.frames, mode="few steps")

    def held_to(self, limit, ready, run, runs=2):
        """Seconds of whole runs and of a step, with only so many GiB left free by another process."""
        self.mm.unload_all_models()
        self.mm.soft_empty_cache()
        with ballast(self.torch, limit) if self.device.type == "cuda" else contextlib.nullcontext():
            self.peak(reset=True)
            seconds = [round(self.timed(run), 1) for _ in range(runs)]
            whole = self.peak()
            steps, peak, _ = self.steps(ready, 4, 1.0)
            values = {"limit": limit, "runs": seconds, "step": round(statistics.median(steps), 3)}
            values |= {"peak": round(peak, 2), "peak_of_run": round(whole, 2)}
            values["lora_on_the_fly"] = getattr(ready.model.model, "lowvram_patch_counter", 0)
        if self.device.type == "cuda":
            self.torch.cuda.set_per_process_memory_fraction(1.0)
        return values

    def result(self):
        """Latent of a 4-step run, for comparison between flags of ComfyUI, with its time and memory."""
        torch, limit = self.torch, self.args.limit
        with ballast(torch, limit) if limit and self.device.type == "cuda" else contextlib.nullcontext():
            runs, latents = [], []
            for _ in range(2):
                self.peak(reset=True)
                began = time.perf_counter()
                latents.append(self.node(self.adapted, self.frames, mode="few steps").args[1]["samples"].cpu())
                runs.append(round(time.perf_counter() - began, 2))
        path, values = self.args.reference, {}
        if path and os.path.exists(path):
            other = torch.load(path).double()
            values["relative_l2"] = float((latents[-1].double() - other).norm() / other.norm())
        elif path:
            torch.save(latents[-1], path)
        self.say(
            part="result", flags=self.args.flags, limit=limit, runs=runs, peak=round(self.peak(), 2),
            repeats_equal=bool(torch.equal(*latents)), state=self.mm.vram_state.name,
            lora_on_the_fly=getattr(self.adapted.model, "lowvram_patch_counter", 0), **values,
        )  # fmt: skip


class Sensors:
    """Clock, power and temperature of the card during a block, read by nvidia-smi five times a second."""

    FIELDS = (("clocks.sm", "mhz"), ("power.draw.instant", "watt"), ("temperature.gpu", "celsius"))

    def __init__(self, device):
        self.on, self.rows = device.type == "cuda", []

    def __enter__(self):
        if self.on:
            query = f"--query-gpu=timestamp,{','.join(field for field, _ in self.FIELDS)}"
            command = ["nvidia-smi", "-i", "0", query, "--format=csv,noheader,nounits", "-lms", "200"]
            self.log = tempfile.TemporaryFile("w+", encoding="utf-8")
            self.process = subprocess.Popen(command, stdout=self.log)
        return self

    def __exit__(self, *_):
        if self.on:
            self.process.terminate()
            self.process.wait(10)
            self.log.seek(0)
            for line in self.log:
                with contextlib.suppress(ValueError):  # the last line may be cut
                    when, *values = line.split(", ")
                    at = datetime.strptime(when, "%Y/%m/%d %H:%M:%S.%f").timestamp()
                    self.rows.append((at, [float(value) for value in values]))

    def mean(self, spans):
        """Means over spans of (start, stop) in seconds of the day's clock."""
        inside = [values for at, values in self.rows if any(start <= at <= stop for start, stop in spans)]
        units = [unit for _, unit in self.FIELDS]
        return {unit: round(statistics.mean(c), 1) for unit, c in zip(units, zip(*inside, strict=True), strict=False)}


@contextlib.contextmanager
def ballast(torch, limit: float):
    """Leave ``limit`` GiB for this process: another one holds the rest, and the allocator is capped as well."""
    free, total = torch.cuda.mem_get_info()
    held = int(free + torch.cuda.memory_reserved() - limit * GIB)
    code = (
        "import sys, torch\n"
        "keep = [torch.empty(int(sys.argv[1]), dtype=torch.uint8, device='cuda')]\n"
        "torch.cuda.synchronize(); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(max(held, 1))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline().strip() == "held"
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit * GIB / total))
        yield
    finally:
        process.stdin.close()
        process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
