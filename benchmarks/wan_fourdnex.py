"""Parts of ``wan.py`` on 4DNeX: its hooks beside plain Wan, the node's run beside its stock parts, and small cards."""

from __future__ import annotations

import statistics
from functools import cached_property, partial
from types import SimpleNamespace


class FourDNeX:
    """4DNeX on a random model of full size, with a start of the published size: 35,100 tokens."""

    def fourdnex_ready(self, **options):
        """A MODEL with 4DNeX, ready to sample with its hooks, and the same without them.

        The LoRA of both is merged alike: what is compared is the hooks alone.
        """
        import comfy.patcher_extension

        torch, pack, dim = self.torch, self.pack.fourdnex, self.size["dim"]
        state = {pack.checkpoint.VECTORS_KEY: self.normal(2, dim, scale=0.5)}
        for block in range(self.size["num_layers"]):
            for module in pack.checkpoint.ATTENTION:
                state[f"blocks.{block}.{module}.lora_A.weight"] = self.normal(64, dim, scale=0.01)
                state[f"blocks.{block}.{module}.lora_B.weight"] = self.normal(dim, 64, scale=0.01)
        adapter = pack.checkpoint.parse_adapter(state, "random")
        model = pack.patch.add_adapter(self.load(**options), adapter, 1.0)
        size = {"width": 96, "height": 64} if self.args.tiny else {}
        start = pack.condition.prepare(torch.rand(480, 720, 3), frames=self.frames, **size)
        ready = pack.conditioning.condition(
            model, self.vae, self.positive, self.negative, start, clip_vision=self.vision
        )
        bare = ready.model.clone()
        for kind in ("OUTER_SAMPLE", "DIFFUSION_MODEL"):
            bare.remove_wrappers_with_key(getattr(comfy.patcher_extension.WrappersMP, kind), pack.patch.KEY)
        return model, {"hooks": ready, "plain": SimpleNamespace(**{**vars(ready), "model": bare})}

    @cached_property
    def fourdnex_bf16(self):
        """The model in the benchmark's own dtype, for every part that asks."""
        return self.fourdnex_ready()

    def fourdnex_fp8(self):
        """The model with weights in float8_e4m3fn."""
        return self.fourdnex_ready(**({} if self.args.tiny else {"dtype": self.torch.float8_e4m3fn}))

    def fourdnex(self, count=6):
        """4DNeX's hooks beside plain Wan on the same latent: ten steps each in the order A B B A, cfg 1; fp8 after it."""
        self.mm.unload_all_models()
        self.fourdnex_steps("bf16", self.fourdnex_bf16[1], ("plain", "hooks", "hooks", "plain"), count)
        self.mm.unload_all_models()
        self.fourdnex_steps("fp8", self.fourdnex_fp8()[1], ("hooks", "plain"), 4)

    def fourdnex_steps(self, weights, variants, order, count):
        self.steps(variants["plain"], 2, 1.0)
        times, peaks = {"hooks": [], "plain": []}, {}
        for variant in order:
            seconds, peaks[variant], batches = self.steps(variants[variant], count, 1.0)
            times[variant] += seconds
        middle = {name: statistics.median(values) for name, values in times.items()}
        shape = list(variants["hooks"].latent["samples"].shape)
        self.say(
            part="fourdnex", weights=weights, latent=shape, tokens=shape[2] * shape[3] * shape[4] // 4, batch=batches[-1],
            step={name: round(value, 4) for name, value in middle.items()},
            percent=round(100 * (middle["hooks"] / middle["plain"] - 1), 2),
            spread={name: round(max(v) - min(v), 4) for name, v in times.items()},
            peak={name: round(value, 2) for name, value in peaks.items()},
        )  # fmt: skip

    def fourdnex_run(self):
        """The node's runs against their stock parts, each timed alone: 10 steps at cfg 5, and 4 steps at cfg 1.

        For the few steps the random LoRA stands in for a distilled one, whose shape is the same.
        """
        torch = self.torch
        self.mm.unload_all_models()
        model, variants = self.fourdnex_bf16
        latent = variants["plain"].latent["samples"]
        images = torch.rand(self.frames, 8 * latent.shape[3], 8 * latent.shape[4], 3)
        self.steps(variants["plain"], 2, 1.0)
        encode, decode = self.timed(partial(self.vae.encode, images)), self.timed(partial(self.vae.decode, latent))
        for mode, steps, cfg in (("few steps", 4, 1.0), ("full", 10, 5.0)):
            run = self.timed(partial(self.fourdnex_node, model, mode=mode, steps=steps, few_steps=steps))
            step = statistics.median(self.steps(variants["plain"], 5, cfg)[0])
            parts = steps * step + encode + decode
            self.say(
                part="fourdnex_run", mode=mode, steps=steps, cfg=cfg, run=round(run, 3), parts=round(parts, 3),
                percent=round(100 * (run / parts - 1), 2), step=round(step, 4), encode=round(encode, 3),
                decode=round(decode, 3),
            )  # fmt: skip

    def fourdnex_memory(self):
        """Four steps at cfg 1 held to as many GiB as ``--limits`` says, in bf16, and in fp8 held to the least of them."""
        limits = sorted(self.args.limits, reverse=True)
        for weights, held in (("bf16", limits), ("fp8", limits[-1:])):
            self.mm.unload_all_models()
            model, variants = self.fourdnex_bf16 if weights == "bf16" else self.fourdnex_fp8()
            run = partial(self.fourdnex_node, model, mode="few steps", few_steps=4)
            for limit in held:
                values = self.held_to(limit, variants["hooks"], run, runs=1)
                self.say(part="fourdnex_memory", weights=weights, **values)

    def fourdnex_node(self, model, **settings):
        """The sampler node, as ComfyUI calls it."""
        size = {"width": 96, "height": 64} if self.args.tiny else {"width": 0, "height": 0}
        values = {
            "seed": 42, "mode": "full", "steps": 50, "cfg": 5.0, "few_steps": 4, "shift": 3.0, "sampler_name": "published",
            "scheduler": "published", "frames": self.frames, "decoding": "joint", "vae_tiles": "off", "fps": 24.0,
            "positive": self.positive, "negative": self.negative, "clip_vision_output": self.vision,
        }  # fmt: skip
        sampler = self.pack.nodes["WanFourDNeXSampler"]
        image = self.torch.rand(1, 480, 720, 3)
        return sampler.execute(model=model, vae=self.vae, image=image, **values | size | settings)
