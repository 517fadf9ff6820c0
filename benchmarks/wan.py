"""Time and memory of the adapter on a full-size Wan2.1 I2V model with random weights, inside a ComfyUI checkout.

    python benchmarks/wan.py --comfyui ~/comfy/ComfyUI --parts overhead full few long compile fp8 memory

Run it from anywhere but ComfyUI's environment's own "nodes" folder; ComfyUI becomes the working folder and the pack is
loaded by path, as ComfyUI does. Prints one JSON line a measurement. Random weights: times and sizes mean something,
pictures do not. ``--tiny`` runs everything at toy size on any machine, to test this file.
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
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

PACK = Path(__file__).resolve().parents[1]
GIB = 2**30
PARTS = ("overhead", "causes", "full", "few", "long", "compile", "fp8", "memory")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", required=True, help="folder of a ComfyUI checkout")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--limits", nargs="+", type=float, default=[24, 16, 12], help="GiB of GPU memory, for memory")
    parser.add_argument("--tiny", action="store_true", help="toy sizes")
    parser.add_argument("--output", help="also append the JSON lines to this file")
    args = parser.parse_args()
    args.output = args.output and os.path.abspath(args.output)
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


def start_comfyui(folder: str, tiny: bool):
    """Import ComfyUI and load the pack by path; returns both sides' modules."""
    folder = os.path.abspath(os.path.expanduser(folder))
    sys.argv = ["main.py", *(["--cpu"] if tiny else []), "--preview-method", "none"]
    os.chdir(folder)
    sys.path[0] = folder
    import comfy.options

    comfy.options.enable_args_parsing()
    import nodes

    assert asyncio.run(nodes.load_custom_node(str(PACK))), "the pack did not load"
    core = next(name for name in sys.modules if name.endswith("ex4d_core"))
    wan = {
        name: importlib.import_module(f"{core}.wan.{name}") for name in ("checkpoint", "clip", "conditioning", "patch")
    }
    return SimpleNamespace(nodes=nodes.NODE_CLASS_MAPPINGS, **wan)


class Bench:
    """Random models of full size and the measurements on them."""

    def __init__(self, args):
        began = time.perf_counter()
        self.args, self.pack = args, start_comfyui(args.comfyui, args.tiny)
        import comfy.model_management
        import torch

        self.torch, self.mm = torch, comfy.model_management
        self.device = self.mm.get_torch_device()
        self.size = (
            {"dim": 256, "ffn_dim": 512, "num_layers": 2, "num_heads": 2}
            if args.tiny
            else {"dim": 5120, "ffn_dim": 13824, "num_layers": 40, "num_heads": 40}
        )
        self.side, self.hidden = (64, 64) if args.tiny else (512, 1024)
        self.frames = 9 if args.tiny else 49
        self.base = self.load()
        adapter = self.pack.checkpoint.parse_adapter(self.adapter_state(), "random")
        self.adapted = self.with_adapter(self.base, adapter)
        off = self.pack.patch.PriorSettings(strength=0.0)
        self.plain = self.pack.patch.add_adapter(self.base, adapter, 0.0, off)
        self.adapter = adapter
        self.vae = self.random_vae()
        text = [self.normal(1, 512, 4096) for _ in range(2)]
        self.positive, self.negative = [[text[0], {}]], [[text[1], {}]]
        self.vision = SimpleNamespace(penultimate_hidden_states=self.normal(1, 257, 1280))
        self.say(part="setup", seconds=round(time.perf_counter() - began, 1), torch=torch.__version__)

    # ---- random parts ------------------------------------------------------------------------------------------

    def normal(self, *shape, scale=1.0, dtype=None):
        torch = self.torch
        return (torch.randn(*shape, device=self.device) * scale).to("cpu", dtype or torch.float32)

    def load(self, **options):
        """A Wan I2V MODEL through ComfyUI's own loader."""
        import comfy.ldm.wan.model
        import comfy.ops
        import comfy.sd

        torch = self.torch
        dtype = torch.float32 if self.args.tiny else torch.bfloat16
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
        return comfy.sd.load_diffusion_model_state_dict(state, model_options=options)

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
        state["latent_patch_embedding.weight"] = self.normal(dim, self.hidden, 1, 2, 2, scale=0.02)
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

    def clip(self, frames):
        """Colour and mask of a drifting gradient with a hole that opens."""
        torch = self.torch
        ramp = torch.linspace(0, 1, self.side)
        color = torch.stack([(ramp[None, :] + ramp[:, None] + 0.02 * t) % 1 for t in range(frames)])
        mask = torch.stack([(ramp >= 0.5 * t / frames).float().expand(self.side, -1) for t in range(frames)])
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

    def ready(self, model, frames=None):
        """Conditioning for one clip, encoded."""
        color, mask = self.clip(frames or self.frames)
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
        """Step time and memory of the adapter against the plain model, taken in turns."""
        plain, adapted = self.ready(self.plain), self.ready(self.adapted)
        for cfg in (1.0, 5.0):
            times, peaks = {"plain": [], "adapted": []}, {}
            for _ in range(2):
                for name, ready in (("plain", plain), ("adapted", adapted)):
                    seconds, peaks[name], batches = self.steps(ready, 6, cfg)
                    times[name] += seconds
            middle = {name: statistics.median(values) for name, values in times.items()}
            self.say(
                part="overhead", cfg=cfg, batch=batches[-1], forwards=len(batches),
                step={name: round(value, 4) for name, value in middle.items()},
                spread={name: round(max(v) - min(v), 4) for name, v in times.items()},
                percent=round(100 * (middle["adapted"] / middle["plain"] - 1), 2),
                gib=round(peaks["adapted"] - peaks["plain"], 3), peak=round(peaks["adapted"], 2),
            )  # fmt: skip

    def causes(self):
        """Where a difference comes from: the LoRA's numbers, the prior's numbers, or the work of adding (a prior of 0)."""
        parse, settings = self.pack.checkpoint.parse_adapter, self.pack.patch.PriorSettings
        zeros = {k: 0 * v for k, v in self.adapter.prior.items()}
        add = self.pack.patch.add_adapter
        models = {
            "plain": self.plain,
            "added_zeros": add(self.base, parse(zeros, "zeros"), 0.0, settings()),
            "prior_alone": add(self.base, self.adapter, 0.0, settings()),
            "lora_alone": add(self.base, self.adapter, 1.0, settings(strength=0.0)),
        }
        ready = {name: self.ready(model) for name, model in models.items()}
        times = {name: [] for name in models}
        for turn in range(3):
            for name in list(models) if turn % 2 == 0 else reversed(list(models)):
                times[name] += self.steps(ready[name], 5, 1.0)[0]
        self.say(part="causes", step={name: round(statistics.median(v), 4) for name, v in times.items()})

    def whole(self, part, steps, cfg):
        """The node's run against its stock parts, timed alone in the same process."""
        settings = {"steps": steps, "cfg": cfg}
        runs = [self.timed(lambda: self.node(self.adapted, self.frames, **settings)) for _ in range(4)]
        plain = self.ready(self.plain)
        seconds, _, batches = self.steps(plain, 6, cfg)
        images = self.clip(self.frames)[0]
        self.vae.encode(images)
        encode = statistics.median(self.timed(lambda: self.vae.encode(images)) for _ in range(3))
        latent = plain.latent["samples"]
        self.vae.decode(latent)
        decode = statistics.median(self.timed(lambda: self.vae.decode(latent)) for _ in range(3))
        parts = steps * statistics.median(seconds) + 3 * encode + decode
        run = statistics.median(runs[1:])
        self.say(
            part=part, run=round(run, 2), runs=[round(r, 2) for r in runs], parts=round(parts, 2),
            percent=round(100 * (run / parts - 1), 2), step=round(statistics.median(seconds), 4), batch=batches[-1],
            encode=round(encode, 3), decode=round(decode, 3),
        )  # fmt: skip

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
            self.mm.unload_all_models()
            self.mm.soft_empty_cache()
            with ballast(self.torch, limit) if self.device.type == "cuda" else contextlib.nullcontext():
                self.peak(reset=True)
                runs = [self.timed(lambda: self.node(self.adapted, self.frames, mode="few steps")) for _ in range(2)]
                ready = self.ready(self.adapted)
                seconds, peak, _ = self.steps(ready, 4, 1.0)
                lowvram = getattr(self.adapted.model, "lowvram_patch_counter", 0)
            self.say(
                part="memory", limit=limit, runs=[round(r, 1) for r in runs], step=round(statistics.median(seconds), 3),
                peak=round(peak, 2), lora_on_the_fly=lowvram,
            )  # fmt: skip
            if self.device.type == "cuda":
                self.torch.cuda.set_per_process_memory_fraction(1.0)


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
