"""Parts of ``wan.py`` on the host's own accelerators: each with the adapter, alone and together.

Beside its time, every row says how far its latent is from that of the same run without it (``away``), and how far that one is
from a run without the prior (``without_prior``): where ``away`` is much the smaller, the prior is at work.
"""

from __future__ import annotations

import importlib
from functools import partial
from types import SimpleNamespace

STEPS = 12
"""Of a run that a cache may leave steps out of."""
BATCH = 2


class Accelerators:
    """EasyCache, LazyCache, SageAttention, torch.compile, fp8 matrix products, two videos at once, VAE tiles."""

    def accelerators(self):
        """Those of a bf16 model, at cfg 1."""
        self.mm.unload_all_models()
        self._accelerated("bf16", self.adapted, (
            ("EasyCache",), ("LazyCache",), ("sage",), ("batch 2",), ("compile",), ("compile", "EasyCache", "sage", "batch 2"),
        ))  # fmt: skip

    def accelerators_fp8(self):
        """Those of fp8 weights, multiplied in fp8 (``--fast fp8_matrix_mult``, or UNETLoader's fp8_e4m3fn_fast)."""
        self.mm.unload_all_models()
        options = {"dtype": self.torch.float8_e4m3fn} if not self.args.tiny else {}
        for fast in (False, True):
            model = self.with_adapter(self.load(fp8_optimizations=fast, **options), self.adapter)
            combined = (("sage",), ("compile",), ("compile", "EasyCache", "sage")) if fast else ()
            self._accelerated("fp8 products" if fast else "fp8", model, combined)
            del model
            self.mm.unload_all_models()

    def tiles(self):
        """VAE of a clip and back, whole and in tiles."""
        images = self.clip(self.frames)[0]
        latent = self.vae.encode(images)
        for tile in (0, 256):
            self.peak(reset=True)
            code = importlib.import_module(self.pack.conditioning.__name__)
            encode = self.timed(partial(code.encode, self.vae, images, tile))
            decode = self.timed(partial(code.decode, self.vae, latent, tile))
            self.say(
                part="tiles", tile=tile or "off", encode=round(encode, 3), decode=round(decode, 3),
                peak=round(self.peak(), 2),
            )  # fmt: skip

    def _accelerated(self, weights, model, rows):
        ready = self.ready(model)
        plain, least = self._run(ready), self._run(self.without_prior(ready))
        prior = self._away(least, plain)
        self.say(part="accelerators", weights=weights, used="nothing", without_prior=prior, **self._told(plain))
        for names in rows:
            if len(names) > 1 and not self._has_sage():
                names = tuple(name for name in names if name != "sage")
            try:
                made = self._run(self._with(ready, names))
                self.say(
                    part="accelerators", weights=weights, used=" + ".join(names), away=self._away(made, plain),
                    without_prior=prior, faster=round(plain.seconds / made.seconds, 3), **self._told(made),
                )  # fmt: skip
            except Exception as error:
                self.say(part="accelerators", weights=weights, used=" + ".join(names), failed=str(error)[:300])
                if self.args.tiny and "sage" not in names:
                    raise

    def _with(self, ready, names):
        """The same clip, with these on its MODEL."""
        made = SimpleNamespace(**{**vars(ready), "model": ready.model.clone(), "warm": "compile" in names})
        if "batch 2" in names:
            latent = ready.latent["samples"]
            made.latent = {**ready.latent, "samples": latent.expand(BATCH, *latent.shape[1:]).contiguous()}
        if "sage" in names:
            made.model.model_options["transformer_options"]["optimized_attention_override"] = self._sage()
        if "compile" in names:
            from comfy_api.torch_helpers import set_torch_compile_wrapper

            set_torch_compile_wrapper(made.model, backend="eager" if self.args.tiny else "inductor")
        for name in ("EasyCache", "LazyCache"):
            if name in names:
                node = getattr(importlib.import_module("comfy_extras.nodes_easycache"), f"{name}Node")
                made.model = node.execute(made.model, 0.2, 0.15, 0.95, False).args[0]
        return made

    @staticmethod
    def _has_sage():
        from comfy.ldm.modules import attention

        return attention.SAGE_ATTENTION_IS_AVAILABLE

    def _sage(self):
        """SageAttention in place of the host's choice, as its flag --use-sage-attention would have it."""
        from comfy.ldm.modules import attention

        if not self._has_sage():
            raise RuntimeError("The package sageattention is not installed.")
        return lambda _, *args, **kwargs: attention.attention_sage(*args, **kwargs)

    def _run(self, ready):
        """Latent of the first video of a run from fixed noise, its seconds a step and a video, and its forwards."""
        import comfy.sample
        import comfy.samplers

        torch, forwards = self.torch, []
        samples = ready.latent["samples"]
        noise = torch.randn(samples.shape[1:], generator=torch.Generator().manual_seed(3)).expand(samples.shape)

        def sample(count):
            return comfy.sample.sample_custom(
                ready.model, noise, 1.0, comfy.samplers.sampler_object("euler"), torch.linspace(1, 0, count + 1),
                ready.positive, ready.negative, samples, callback=lambda *_: None, disable_pbar=True, seed=0,
            )  # fmt: skip

        network = ready.model.model.diffusion_model.blocks[0]
        # Compiled code holds for one count of steps: ComfyUI hands all noise levels to every block.
        first = self.timed(partial(sample, STEPS if getattr(ready, "warm", False) else 2))
        handle = None if getattr(ready, "warm", False) else network.register_forward_hook(lambda *_: forwards.append(1))
        self.peak(reset=True)
        made = {}
        try:
            seconds = self.timed(lambda: made.update(latent=sample(STEPS)))
        finally:
            if handle is not None:
                handle.remove()
        return SimpleNamespace(
            latent=made["latent"][:1].cpu().double(), seconds=seconds / STEPS / len(samples), forwards=len(forwards),
            peak=self.peak(), first=first,
        )  # fmt: skip

    @staticmethod
    def _told(run):
        """What of a run is said; no count where a hook would have been compiled in."""
        told = {"seconds": round(run.seconds, 4), "peak": round(run.peak, 2), "warm_up": round(run.first, 1)}
        return told | ({"forwards": f"{run.forwards} of {STEPS}"} if run.forwards else {})

    @staticmethod
    def _away(one, other):
        return round(float((one.latent - other.latent).norm() / other.latent.norm()), 5)
