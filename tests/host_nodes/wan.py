"""Tiny Wan parts for tests: recorded text, CLIP and latents, a small VAE, and probes around the model.

``folder`` is always the recorded adapter data (reference/adapter).
"""

from __future__ import annotations

import json
import os

import comfy.clip_vision
import comfy.latent_formats
import comfy.ldm.wan.vae
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.samplers
import comfy.sd
import comfy.utils
import folder_paths
import torch

FOLDER = {"folder": ("STRING", {"default": ""})}
CALLS: dict[str, list] = {}


def recorded(folder: str, name: str) -> torch.Tensor:
    return comfy.utils.load_torch_file(os.path.join(folder, "inputs.safetensors"))[name]


class EX4DTestText:
    """Recorded text embeddings, unpadded as recorded, and the recorded CLIP tokens."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {**FOLDER, "pad": ("BOOLEAN", {"default": False})}}

    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "CLIP_VISION_OUTPUT")
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, folder, pad):
        texts = [recorded(folder, name) for name in ("context_pos", "context_neg")]
        if pad:
            texts = [torch.nn.functional.pad(t, (0, 0, 0, 512 - t.shape[1])) for t in texts]
        vision = comfy.clip_vision.Output()
        vision["penultimate_hidden_states"] = recorded(folder, "clip_fea")
        return [[texts[0], {}]], [[texts[1], {}]], vision


class RecordedVAE:
    """Answers with the recorded latents, by what the images are; notes what the real VAE would have been given."""

    latent_channels, latent_dim = 16, 3

    def __init__(self, folder):
        self.folder, self.format, self.seen = folder, comfy.latent_formats.Wan21(), {}

    def encode(self, images):
        values = images * 2.0 - 1.0
        if bool((values == 0).all(dim=-1)[1:].all()):
            name = "y_image_latent"
        elif bool(((values == 1) | (values == -3)).all()):
            name = "mask_latent"
        else:
            name = "video_latent"
        self.seen[name] = values
        return self.format.process_out(recorded(self.folder, name))

    def decode(self, samples):
        b, _, f, h, w = samples.shape
        return torch.zeros(b, 4 * f - 3, 8 * h, 8 * w, 3)


class EX4DTestRecordedVAE:
    """A VAE that returns the recorded latents."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": FOLDER}

    RETURN_TYPES = ("VAE",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, folder):
        return (RecordedVAE(folder),)


class EX4DTestTinyVAE:
    """The Wan 2.1 VAE of width 8, inside ComfyUI's own VAE class."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": FOLDER}

    RETURN_TYPES = ("VAE",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, folder):
        full = comfy.ldm.wan.vae.WanVAE
        comfy.ldm.wan.vae.WanVAE = lambda **config: full(**{**config, "dim": 8})  # the host fixes the width at 96
        try:
            vae = comfy.sd.VAE(comfy.utils.load_torch_file(os.path.join(folder, "vae_tiny8.safetensors")))
        finally:
            comfy.ldm.wan.vae.WanVAE = full
        return (vae,)


class EX4DTestFirstNoise:
    """A MODEL whose runs start from the recorded noise, whatever the seed."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), **FOLDER}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, model, folder):
        noise = recorded(folder, "noise")

        def wrapper(executor, given, *args, **kwargs):
            return executor(noise.to(given).repeat(given.shape[0], 1, 1, 1, 1), *args, **kwargs)

        model = model.clone()
        model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, "ex4d_test", wrapper)
        return (model,)


class EX4DTestForward:
    """One velocity of the model at the recorded x, normalised; ``which`` picks the recorded timestep."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": ("MODEL",),
                "conditioning": ("CONDITIONING",),
                "latent": ("LATENT",),
                **FOLDER,
                "which": ("INT", {"default": 1, "min": 0, "max": 2}),
            }
        }

    RETURN_TYPES = ("LATENT_TENSOR",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, model, conditioning, latent, folder, which):
        x, sigma = recorded(folder, "x"), recorded(folder, "timesteps")[which] / 1000
        kept = {}

        def one_forward(denoise, noise, sigmas, extra_args=None, **_):
            at = x.to(noise).repeat(noise.shape[0], 1, 1, 1, 1)
            level = torch.full((noise.shape[0],), float(sigma), device=noise.device)
            kept["v"] = (at - denoise(at, level, **(extra_args or {}))) / sigma
            return noise

        samples = latent["samples"]
        comfy.samplers.sample(
            model, torch.zeros_like(samples), conditioning, conditioning, 1.0, model.load_device,
            comfy.samplers.KSAMPLER(one_forward), torch.tensor([float(sigma), 0.0]),
            model_options=model.model_options, latent_image=samples, disable_pbar=True, seed=0,
        )  # fmt: skip
        return (kept["v"],)


class EX4DTestSpy:
    """A MODEL that notes, under a name, the shape and window of every forward and what was added to the tokens.

    Put it after EX4DConditioning: its hook then runs after the pack's.
    """

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "name": ("STRING", {"default": "calls"})}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, model, name):
        calls = CALLS[name] = []

        def wrapper(executor, x, timestep, context, clip_fea, time_dim_concat, options, **kwargs):
            embedding = executor.class_obj.patch_embedding
            window = options.get("context_window")
            call = {"shape": list(x.shape), "window": list(window.index_list) if window else None}

            def note(module, inputs, output):
                call["added"] = (output - module.forward(*inputs)).cpu()

            handle = embedding.register_forward_hook(note)
            try:
                return executor(x, timestep, context, clip_fea, time_dim_concat, options, **kwargs)
            finally:
                handle.remove()
                calls.append(call)

        model = model.clone()
        model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "ex4d_test_spy", wrapper)
        return (model,)


class EX4DTestCalls:
    """What a spy has noted, once ``after`` is there: as text, and what was added as output/<name>.pt."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"after": ("*",), "name": ("STRING", {"default": "calls"})}}

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True
    CATEGORY = "EX-4D/tests"

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    @classmethod
    def IS_CHANGED(cls, **_):
        return float("nan")

    def run(self, after, name):
        calls = CALLS.get(name, [])
        added = [call["added"] for call in calls]
        torch.save(added, os.path.join(folder_paths.get_output_directory(), f"{name}.pt"))
        plain = [{key: value for key, value in call.items() if key != "added"} for call in calls]
        return {"ui": {"text": [json.dumps(plain)]}}


class EX4DTestPrior:
    """The state of a MODEL's prior once ``after`` is there: latents, times it was encoded, whether it is still held."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "after": ("*",)}}

    RETURN_TYPES = ("LATENT_TENSOR", "LATENT_TENSOR", "STRING")
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    def run(self, model, after):
        prior = model.wrappers[comfy.patcher_extension.WrappersMP.OUTER_SAMPLE]["ex4d"][0].__self__
        state = {"encodings": prior.encodings, "held": prior._encoded is not None}
        return prior.color, prior.mask, json.dumps(state)


class EX4DTestReplaceBlock:
    """A MODEL whose block 0 is replaced by itself, as other packs do it, and a second LoRA-free object patch."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "name": ("STRING", {"default": "blocks"})}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, model, name):
        calls = CALLS[name] = []

        def replaced(args, extra):
            calls.append({"added": torch.zeros(0)})
            return extra["original_block"](args)

        model = model.clone()
        model.set_model_patch_replace(replaced, "dit", "double_block", 0)
        return (model,)


class EX4DTestLowMemory:
    """A MODEL that is loaded with next to no memory for weights: everything stays away until it is needed."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, model):
        def wrapper(executor, *args, **kwargs):
            patcher = comfy.model_patcher.ModelPatcher
            load = patcher.load

            def little(self, device_to=None, lowvram_model_memory=0, force_patch_weights=False, full_load=False):
                return load(self, device_to, 1024, force_patch_weights, False)

            comfy.model_management.unload_all_models()
            patcher.load = little
            try:
                return executor(*args, **kwargs)
            finally:
                patcher.load = load
                comfy.model_management.unload_all_models()

        model = model.clone()
        model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, "ex4d_test_memory", wrapper)
        return (model,)


class EX4DTestRecordedClip:
    """The colour and mask videos for which the small VAE's latents were recorded."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": FOLDER}

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, folder):
        data = comfy.utils.load_torch_file(os.path.join(folder, "vae_golden.safetensors"))
        color = data["pixels_u8_1x3x9x64x96"][0].movedim(0, -1).float() / 255
        return color, data["mask01_1x1x9x64x96"][0, 0].float()


class EX4DTestSeen:
    """What a recorded VAE's network would have been given, once ``after`` is there: masked colour, mask, start image."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"vae": ("VAE",), "after": ("*",)}}

    RETURN_TYPES = ("LATENT_TENSOR", "LATENT_TENSOR", "LATENT_TENSOR")
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    def run(self, vae, after):
        return tuple(vae.seen[name] for name in ("video_latent", "mask_latent", "y_image_latent"))


class EX4DTestOtherModel:
    """A MODEL of another kind: Wan text-to-video, a smaller Wan, or no Wan at all."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {**FOLDER, "kind": (["t2v", "one block", "narrow", "flux"],)}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, folder, kind):
        if kind == "flux":
            model = comfy.model_base.BaseModel.__new__(comfy.model_base.Flux)
            torch.nn.Module.__init__(model)
            return (comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu")),)
        state = comfy.utils.load_torch_file(os.path.join(folder, "dit_tiny.safetensors"))
        if kind == "t2v":
            state = {k: v for k, v in state.items() if "img" not in k}
            state["patch_embedding.weight"] = state["patch_embedding.weight"][:, :16].contiguous()
        elif kind == "one block":
            state = {k: v for k, v in state.items() if not k.startswith("blocks.1.")}
        elif kind == "narrow":
            for block in range(2):
                for key, cut in (
                    ("0.weight", (slice(256),)),
                    ("0.bias", (slice(256),)),
                    ("2.weight", (slice(None), slice(256))),
                ):
                    name = f"blocks.{block}.ffn.{key}"
                    state[name] = state[name][cut].contiguous()
        return (comfy.sd.load_diffusion_model_state_dict(state),)


class EX4DTestSamples:
    """The tensor of a LATENT, normalised to Wan's latent space."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",)}}

    RETURN_TYPES = ("LATENT_TENSOR",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, latent):
        return (comfy.latent_formats.Wan21().process_in(latent["samples"]),)


class EX4DTestUnload:
    """Passes a MODEL on after everything was thrown out of memory."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "after": ("*",)}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    def run(self, model, after):
        comfy.model_management.unload_all_models()
        return (model.clone(),)


class EX4DTestClip:
    """A colour clip and its mask: the source frame first, then a growing hole. ``variant`` breaks something."""

    @classmethod
    def INPUT_TYPES(cls):
        size = {"min": 1, "max": 4096}
        variants = ["good", "short mask", "small mask", "nothing seen", "nan", "holes first"]
        return {
            "required": {
                "width": ("INT", {"default": 192, **size}),
                "height": ("INT", {"default": 128, **size}),
                "frames": ("INT", {"default": 9, **size}),
                "variant": (variants,),
            }
        }

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, width, height, frames, variant):
        y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
        moving = [torch.stack([x, y, (x + 0.03 * t) % 1], dim=-1) for t in range(frames)]
        color = (torch.stack(moving) * 200 + 20).round() / 255
        mask = torch.stack([(x >= 0.4 * t / max(frames - 1, 1)).float() for t in range(frames)])
        if variant == "short mask":
            mask = mask[:-1]
        elif variant == "small mask":
            mask = mask[:, :-16]
        elif variant == "nothing seen":
            mask = torch.zeros_like(mask)
        elif variant == "nan":
            color[-1, 0, 0, 0] = float("nan")
        elif variant == "holes first":
            mask = mask.flip(0)
        return color, mask


class EX4DTestCut:
    """The first frames of a clip."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"color": ("IMAGE",), "mask": ("MASK",), "frames": ("INT", {"default": 9})}}

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, color, mask, frames):
        return color[:frames], mask[:frames]


NODES = (
    EX4DTestCut,
    EX4DTestText,
    EX4DTestRecordedVAE,
    EX4DTestTinyVAE,
    EX4DTestFirstNoise,
    EX4DTestForward,
    EX4DTestSpy,
    EX4DTestCalls,
    EX4DTestPrior,
    EX4DTestReplaceBlock,
    EX4DTestLowMemory,
    EX4DTestRecordedClip,
    EX4DTestSeen,
    EX4DTestOtherModel,
    EX4DTestSamples,
    EX4DTestUnload,
    EX4DTestClip,
)
