"""Tiny Wan parts for tests: recorded text, CLIP and latents, a small VAE, and probes around the model.

``folder`` is always the recorded adapter data (reference/adapter). ``after`` only says when a node runs.
"""

from __future__ import annotations

import copy
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
from comfy.ldm.modules import attention

from .define import ANY, TENSOR, TEXT, node

COUNT = {"min": 1, "max": 4096}
WRAPPERS = comfy.patcher_extension.WrappersMP
CALLS: dict[str, list] = {}


def recorded(folder: str, name: str, file: str = "inputs") -> torch.Tensor:
    return comfy.utils.load_torch_file(os.path.join(folder, f"{file}.safetensors"))[name]


def wrapped(model, kind: str, wrapper):
    """A clone of a MODEL with one wrapper more."""
    model = model.clone()
    model.add_wrapper_with_key(kind, "ex4d_test", wrapper)
    return model


# Inputs


@node("CONDITIONING", "CONDITIONING", "CLIP_VISION_OUTPUT", folder=TEXT, pad=("BOOLEAN", {"default": False}))
def EX4DTestText(folder, pad):
    """Recorded text embeddings, unpadded as recorded, and the recorded CLIP tokens."""
    texts = [recorded(folder, name) for name in ("context_pos", "context_neg")]
    if pad:
        texts = [torch.nn.functional.pad(t, (0, 0, 0, 512 - t.shape[1])) for t in texts]
    vision = comfy.clip_vision.Output()
    vision["penultimate_hidden_states"] = recorded(folder, "clip_fea")
    return [[texts[0], {}]], [[texts[1], {}]], vision


class RecordedText:
    """A text encoder that answers with recorded embeddings, the negative ones to no text and to EX-4D's own, and notes texts."""

    def __init__(self, folder):
        self.texts, self.said = [recorded(folder, name) for name in ("context_pos", "context_neg")], []

    def tokenize(self, text, **_):
        return text

    def encode_from_tokens_scheduled(self, tokens, **_):
        self.said.append(tokens)
        return [[self.texts[not tokens or tokens.startswith("Bright tones")], {}]]


class RecordedVision:
    """A CLIP vision encoder that answers with the recorded tokens."""

    def __init__(self, folder):
        self.tokens = recorded(folder, "clip_fea")

    def encode_image(self, image, crop=True):
        vision = comfy.clip_vision.Output()
        vision["penultimate_hidden_states"] = self.tokens
        return vision


@node("CLIP", folder=TEXT)
def EX4DTestTextEncoder(folder):
    """Recorded embeddings in the place of a text encoder."""
    return RecordedText(folder)


@node(sink=True, clip="CLIP", after=ANY)
def EX4DTestSaid(clip, after):
    """Shows the texts that a recorded text encoder was given, each as a line."""
    return {"ui": {"text": clip.said}}


@node("CLIP_VISION", folder=TEXT)
def EX4DTestVisionEncoder(folder):
    """Recorded tokens in the place of a CLIP vision encoder."""
    return RecordedVision(folder)


@node("CLIP_VISION_OUTPUT", shape=TEXT)
def EX4DTestVision(shape):
    """What a CLIP vision encoder has seen, zeros of this shape (JSON); null holds no tokens at all."""
    vision, shape = comfy.clip_vision.Output(), json.loads(shape)
    vision["penultimate_hidden_states"] = None if shape is None else torch.zeros(shape)
    return vision


class RecordedVAE:
    """Answers with the recorded latents, by what the images are; notes what the real VAE would have been given.

    Images of another size than the recorded one have a latent of zeros.
    """

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
        frames, height, width = images.shape[:3]
        if (frames, height, width) != (9, 128, 192):
            return torch.zeros(1, 16, (frames + 3) // 4, height // 8, width // 8)
        return self.format.process_out(recorded(self.folder, name))

    def decode(self, samples):
        b, _, f, h, w = samples.shape
        return torch.zeros(b, 4 * f - 3, 8 * h, 8 * w, 3)


@node("VAE", folder=TEXT)
def EX4DTestRecordedVAE(folder):
    """A VAE that returns the recorded latents."""
    return RecordedVAE(folder)


@node("VAE", folder=TEXT)
def EX4DTestTinyVAE(folder):
    """The Wan 2.1 VAE of width 8, inside ComfyUI's own VAE class; ``sizes`` notes what its network was given."""
    full = comfy.ldm.wan.vae.WanVAE
    comfy.ldm.wan.vae.WanVAE = lambda **config: full(**{**config, "dim": 8})  # the host fixes the width at 96
    try:
        vae = comfy.sd.VAE(comfy.utils.load_torch_file(os.path.join(folder, "vae_tiny8.safetensors")))
    finally:
        comfy.ldm.wan.vae.WanVAE = full
    network, vae.sizes = vae.first_stage_model.encode, []
    vae.first_stage_model.encode = lambda x, *rest: vae.sizes.append(list(x.shape)) or network(x, *rest)
    return vae


class Untouched:
    """A VAE of Wan's kind and a text encoder that must not be asked for anything."""

    latent_channels, latent_dim = 16, 3

    def __getattr__(self, name):
        # An error by which hosts tell what an output is not: newer ones ask every one whether it holds models.
        raise AttributeError(f"heavy work has begun: {name}")


@node("VAE", "CLIP")
def EX4DTestUntouched():
    """A VAE and a text encoder whose first use is an error."""
    return Untouched(), Untouched()


@node(ANY, text=TEXT)
def EX4DTestValue(text):
    """A value (JSON) that reaches an input by a link, past the host's checks of widgets."""
    return json.loads(text)


@node("IMAGE", "MASK", width=("INT", {"default": 192, **COUNT}), height=("INT", {"default": 128, **COUNT}),
      frames=("INT", {"default": 9, **COUNT}),
      variant=(["good", "short mask", "small mask", "nothing seen", "nan", "holes first"],))  # fmt: skip
def EX4DTestClip(width, height, frames, variant):
    """A colour clip and its mask: the source frame first, then a growing hole. ``variant`` breaks something."""
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


@node("IMAGE", "MASK", color="IMAGE", mask="MASK", first=("INT", {"default": 0}), frames=("INT", {"default": 9}))
def EX4DTestCut(color, mask, first, frames):
    """A part of a clip."""
    return color[first : first + frames], mask[first : first + frames]


@node("IMAGE", "MASK", color="IMAGE", mask="MASK", done="IMAGE", start=("INT", {"default": 0}))
def EX4DTestContinue(color, mask, done, start):
    """What the next segment of a long clip is made from: finished frames, all of them seen, then the render."""
    color, mask = color[start:].clone(), mask[start:].clone()
    color[: len(done) - start], mask[: len(done) - start] = done[start:], 1.0
    return color, mask


@node("IMAGE", "MASK", folder=TEXT)
def EX4DTestRecordedClip(folder):
    """The colour and mask videos for which the small VAE's latents were recorded."""
    color = recorded(folder, "pixels_u8_1x3x9x64x96", "vae_golden")[0].movedim(0, -1).float() / 255
    return color, recorded(folder, "mask01_1x1x9x64x96", "vae_golden")[0, 0].float()


@node("MODEL", folder=TEXT, kind=(["t2v", "one block", "narrow", "flux"],))
def EX4DTestOtherModel(folder, kind):
    """A MODEL of another kind: Wan text-to-video, a smaller Wan, or no Wan at all."""
    if kind == "flux":
        model = comfy.model_base.BaseModel.__new__(comfy.model_base.Flux)
        torch.nn.Module.__init__(model)
        return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))
    state = comfy.utils.load_torch_file(os.path.join(folder, "dit_tiny.safetensors"))
    if kind == "t2v":
        state = {k: v for k, v in state.items() if "img" not in k}
        state["patch_embedding.weight"] = state["patch_embedding.weight"][:, :16].contiguous()
    elif kind == "one block":
        state = {k: v for k, v in state.items() if not k.startswith("blocks.1.")}
    elif kind == "narrow":
        cuts = {"0.weight": (slice(256),), "0.bias": (slice(256),), "2.weight": (slice(None), slice(256))}
        for name in (f"blocks.{block}.ffn.{key}" for block in range(2) for key in cuts):
            state[name] = state[name][cuts[name.split("ffn.")[1]]].contiguous()
    return comfy.sd.load_diffusion_model_state_dict(state)


# Around the model


@node("MODEL", model="MODEL", folder=TEXT)
def EX4DTestFirstNoise(model, folder):
    """A MODEL whose runs start from the recorded noise, whatever the seed."""
    noise = recorded(folder, "noise")

    def wrapper(executor, given, *args, **kwargs):
        return executor(noise.to(given).repeat(given.shape[0], 1, 1, 1, 1), *args, **kwargs)

    return wrapped(model, WRAPPERS.OUTER_SAMPLE, wrapper)


@node("MODEL", model="MODEL", name=TEXT)
def EX4DTestSpy(model, name):
    """A MODEL that notes, under a name, the shape and window of every forward and what was added to the tokens.

    Put it after EX4DConditioning: its hook then runs after the pack's.
    """
    calls = CALLS[name] = []

    def wrapper(executor, x, timestep, context, clip_fea, time_dim_concat, options, **kwargs):
        embedding = executor.class_obj.patch_embedding
        window = options.get("context_window")
        call = {"shape": list(x.shape), "window": None, "frames": None}
        if window:
            everything = torch.arange(window.total_frames)
            call["window"] = list(window.index_list)
            call["frames"] = window.get_tensor(everything.view(1, 1, -1, 1, 1)).flatten().tolist()

        def note(module, inputs, output):
            call["added"] = (output - module.forward(*inputs)).cpu()

        handle = embedding.register_forward_hook(note)
        try:
            call["result"] = executor(x, timestep, context, clip_fea, time_dim_concat, options, **kwargs)
        finally:
            handle.remove()
            call["given"] = x, timestep, context, clip_fea
            calls.append(call)
        return call["result"]

    return wrapped(model, WRAPPERS.DIFFUSION_MODEL, wrapper)


@node("MODEL", model="MODEL", kind=(["around it", "inside of it"],))
def EX4DTestOtherForward(model, kind):
    """A MODEL whose forward another pack has replaced: by a wrapper of its own, or where ComfyUI's wrappers end."""
    if kind == "around it":
        return wrapped(model, WRAPPERS.DIFFUSION_MODEL, lambda executor, x, *args, **kwargs: x[:, :16])
    model = model.clone()
    model.add_object_patch("diffusion_model.forward_orig", lambda x, *args, **kwargs: x[:, :16])
    return model


@node("MODEL", unet_name=TEXT)
def EX4DTestFp8Products(unet_name):
    """A MODEL loaded as with UNETLoader's fp8_e4m3fn_fast, on a processor that ComfyUI would not trust with it."""
    asked = comfy.model_management.supports_fp8_compute
    comfy.model_management.supports_fp8_compute = lambda *_: True
    try:
        options = {"dtype": torch.float8_e4m3fn, "fp8_optimizations": True}
        path = folder_paths.get_full_path_or_raise("diffusion_models", unet_name)
        return comfy.sd.load_diffusion_model(path, model_options=options)
    finally:
        comfy.model_management.supports_fp8_compute = asked


@node("MODEL", model="MODEL")
def EX4DTestCompiled(model):
    """A MODEL compiled by the host's own function; nothing is generated, but the code is taken apart as for any backend."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    model = model.clone()
    set_torch_compile_wrapper(model, backend="eager")
    return model


@node("MODEL", model="MODEL")
def EX4DTestOtherAttention(model):
    """A MODEL with another attention of the host's, put there as packs put SageAttention."""
    model = model.clone()
    override = {"optimized_attention_override": lambda _, *args, **kwargs: attention.attention_split(*args, **kwargs)}
    model.model_options["transformer_options"] |= override
    return model


@node("MODEL", model="MODEL", name=TEXT)
def EX4DTestReplaceBlock(model, name):
    """A MODEL whose block 0 is replaced by itself, as other packs do it."""
    calls = CALLS[name] = []

    def replaced(args, extra):
        calls.append({"added": torch.zeros(0)})
        return extra["original_block"](args)

    model = model.clone()
    model.set_model_patch_replace(replaced, "dit", "double_block", 0)
    return model


@node("MODEL", model="MODEL")
def EX4DTestOtherWindows(model):
    """A MODEL with context windows as another age may have them: what cuts a conditioning wants to know something else."""
    model = model.clone()

    class OtherHandler(type(model.model_options["context_handler"])):
        def get_resized_cond(self, cond_in, x_in, window, device=None):
            return self._asked_of(cond_in, x_in, window)

    handler = copy.copy(model.model_options["context_handler"])
    handler.__class__ = OtherHandler
    model.model_options["context_handler"] = handler
    return model


@node("MODEL", model="MODEL", memory=("FLOAT", {"default": 1024.0}))
def EX4DTestLowMemory(model, memory):
    """A MODEL loaded as by --lowvram (memory for some weights, in bytes) or --novram (0.1): the rest stays away until needed."""

    def wrapper(executor, *args, **kwargs):
        patcher = comfy.model_patcher.ModelPatcher
        load = patcher.load

        def little(self, device_to=None, lowvram_model_memory=0, force_patch_weights=False, full_load=False):
            return load(self, device_to, memory, force_patch_weights, False)

        comfy.model_management.unload_all_models()
        patcher.load = little
        try:
            return executor(*args, **kwargs)
        finally:
            patcher.load = load
            comfy.model_management.unload_all_models()

    return wrapped(model, WRAPPERS.OUTER_SAMPLE, wrapper)


@node("MODEL", model="MODEL", after=ANY)
def EX4DTestUnload(model, after):
    """Passes a MODEL on after everything was thrown out of memory."""
    comfy.model_management.unload_all_models()
    return model.clone()


@node(TENSOR, model="MODEL", conditioning="CONDITIONING", latent="LATENT", folder=TEXT,
      which=("INT", {"default": 1, "min": 0, "max": 2}))  # fmt: skip
def EX4DTestForward(model, conditioning, latent, folder, which):
    """One velocity of the model at the recorded x, normalised; ``which`` picks the recorded timestep."""
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
    return kept["v"]


# What came of it


@node(sink=True, after=ANY, name=TEXT)
def EX4DTestCalls(after, name):
    """What a spy has noted: as text, and what was added as output/<name>.pt."""
    calls = CALLS.get(name, [])
    added = [call["added"] for call in calls]
    torch.save(added, os.path.join(folder_paths.get_output_directory(), f"{name}.pt"))
    plain = [{key: value for key, value in call.items() if key in ("shape", "window", "frames")} for call in calls]
    return {"ui": {"text": [json.dumps(plain)]}}


@node("STRING", model="MODEL", after=ANY, name=TEXT)
def EX4DTestAlone(model, after, name):
    """How far a spy's forwards in context windows are from those of their frames alone, with the prior of just these frames.

    Relative, as JSON: with the frames that each window had, and with those one before in their place.
    """
    prior = model.wrappers[WRAPPERS.OUTER_SAMPLE]["ex4d"][0].__self__
    comfy.model_management.load_models_gpu([model, prior.encoder])
    off = {"as they are": [], "a frame beside": []}
    for call in CALLS[name]:
        for kind, latents in zip(off, ((prior.color, prior.mask), (prior.color.roll(1, 2), prior.mask.roll(1, 2)))):
            part = type(prior)(prior.encoder, *(values[:, :, call["frames"]] for values in latents), prior.settings)
            options = {"wrappers": {WRAPPERS.DIFFUSION_MODEL: {"ex4d": [part.around_forward]}}}
            x, timestep, context, clip_fea = call["given"]
            alone = model.model.diffusion_model(x, timestep, context, clip_fea, transformer_options=options)
            off[kind].append(float((alone - call["result"]).norm() / call["result"].norm()))
    return json.dumps(off)


@node(TENSOR, TENSOR, "STRING", model="MODEL", after=ANY)
def EX4DTestPrior(model, after):
    """The state of a MODEL's prior: latents, times it was encoded, whether it is still held."""
    prior = model.wrappers[WRAPPERS.OUTER_SAMPLE]["ex4d"][0].__self__
    state = {"encodings": prior.encodings, "held": prior._encoded is not None}
    return prior.color, prior.mask, json.dumps(state)


@node(TENSOR, TENSOR, TENSOR, vae="VAE", after=ANY)
def EX4DTestSeen(vae, after):
    """What a recorded VAE's network would have been given: masked colour, mask, start image."""
    return tuple(vae.seen[name] for name in ("video_latent", "mask_latent", "y_image_latent"))


@node("STRING", vae="VAE", after=ANY)
def EX4DTestTiles(vae, after):
    """The shapes (B, 3, T, h, w) that the tiny VAE's encoder was given so far, as JSON; then it forgets them."""
    sizes, vae.sizes[:] = json.dumps(vae.sizes), []
    return sizes


@node(TENSOR, latent="LATENT")
def EX4DTestSamples(latent):
    """The tensor of a LATENT, normalised to Wan's latent space."""
    return comfy.latent_formats.Wan21().process_in(latent["samples"])
