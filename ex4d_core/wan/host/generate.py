"""The work of ``generate``, inside ComfyUI's folder: load what is named, sample, write the video."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

import torch

from ...composite import keep_seen_pixels
from ...errors import EX4DError
from ...video import save_video
from .. import segments
from ..backbone import WAN21_I2V, model_size
from ..checkpoint import Adapter, check_fits, load_adapter
from ..clip import PreparedClip, color_images, prepare_clip
from ..job import Job
from ..models import check_known, identify_file
from ..settings import Dtype
from ..videos import read_color_and_mask
from ..weights import check_readable, reading, tensor_shapes
from .comfy_types import Conditioning, Model, Vae
from .conditioning import check_text, check_vae, check_vision
from .patch import PriorSettings, add_adapter, check_parts
from .sampling import check_run, sample_clip
from .start import BAD_INPUT

Kind = Literal["dit", "text", "vae", "vision", "adapter"]
WEIGHTS: dict[Kind, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "dit": ("diffusion_models", ("wan2.1_i2v_480p_14B_{}.safetensors", "wan2.1_i2v_720p_14B_{}.safetensors"),
            ("fp16", "bf16", "fp8_scaled", "fp8_e4m3fn")),
    "text": ("text_encoders", ("umt5_xxl_{}.safetensors",), ("fp16", "fp8_e4m3fn_scaled")),
    "vae": ("vae", ("wan_2.1_vae.safetensors",), ("",)),
    "vision": ("clip_vision", ("clip_vision_h.safetensors",), ("",)),
    "adapter": ("ex4d", ("ex4d.safetensors", "ex4d.ckpt"), ("",)),
}  # fmt: skip
"""The folder under models/ that a weight file goes into, what ComfyUI's own pages call it, and in which precisions."""


def main(job: Path) -> int:
    """Do the job in a file; returns the exit code."""
    try:
        with torch.inference_mode():
            generate(Job.from_json(job.read_text(encoding="utf-8")))
    except EX4DError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def generate(job: Job) -> None:
    """Load what is named, sample, write the video; what can be refused is refused before a large file is read."""
    check_run(job.run)
    prior = PriorSettings(strength=job.prior_strength)
    files = find_files(job)
    loras = [(find_lora(name), strength) for name, strength in job.loras]
    check_files(files, [path for path, _ in loras], job.embeddings)
    adapter = load_adapter(files["adapter"])
    check_parts(adapter, job.lora_strength, prior)
    notes = check_model_file(files["dit"], adapter)
    color, mask = read_color_and_mask(job.color_video, job.mask_video)
    clip = prepare_clip(color, mask, **vars(job.clip))
    for note in (*notes, *clip.notes):
        print(f"note: {note}", file=sys.stderr)
    segments.plan(clip.frames, job.run.segment, job.run.overlap, clip.backbone)
    vae = load_vae(files["vae"])
    check_vae(vae)
    positive, negative, vision = embeddings(job, files, clip)
    check_text("positive", positive)
    check_text("negative", negative)
    check_vision(vision)
    model = load_model(files["dit"], job.dtype)
    for path, strength in loras:
        model = add_lora(model, path, strength)
    model = add_adapter(model, adapter, job.lora_strength, prior)
    frames, _ = sample_clip(model, vae, positive, negative, clip, job.run, clip_vision=vision)
    if job.keep is not None:
        # What was seen is what the render says, not what was left of it when the holes were widened.
        rendered = prepare_clip(color, mask, **{**vars(job.clip), "erosion": "off"})
        kept = keep_seen_pixels(frames, rendered.color, rendered.seen, job.keep)
        for note in kept.notes:
            print(f"note: {note}", file=sys.stderr)
        frames = kept.images
    os.makedirs(os.path.dirname(job.output_video), exist_ok=True)
    save_video(job.output_video, frames, job.fps)
    print(job.output_video)


def find_files(job: Job) -> dict[Kind, str]:
    """Path of every weight file that this job needs, all found before any is read."""
    encoders: tuple[Kind, ...] = () if job.embeddings else ("text", "vision")
    wanted: tuple[Kind, ...] = ("dit", "vae", "adapter", *encoders)
    return {kind: find_file(kind, getattr(job.files, kind)) for kind in wanted}


def find_file(kind: Kind, given: str | None) -> str:
    """A path, a name in ComfyUI's folder, or one of the usual names."""
    import folder_paths

    folder, names, precisions = WEIGHTS[kind]
    if given:
        found = given if os.path.exists(given) else folder_paths.get_full_path(folder, given)
        if not found:
            raise EX4DError(f"There is no {given}, neither as a path nor in ComfyUI's models/{folder}.")
        return found
    usual = [name.format(precision) for name in names for precision in precisions]
    for name in usual:
        if found := folder_paths.get_full_path(folder, name):
            return found
    raise EX4DError(f"ComfyUI's models/{folder} holds none of {', '.join(dict.fromkeys(usual))}; name the file to use.")


def find_lora(name: str) -> str:
    """A path, or a name in ComfyUI's models/loras."""
    import folder_paths

    path = name if os.path.exists(name) else folder_paths.get_full_path("loras", name)
    if not path:
        raise EX4DError(f"There is no LoRA {name}, neither as a path nor in ComfyUI's models/loras.")
    return path


def check_files(files: dict[Kind, str], loras: list[str], embeddings: str | None) -> None:
    """Refuse files that are cut off or no files of weights, before any is read."""
    model = model_files(files["dit"])
    others = [path for kind, path in files.items() if kind not in ("dit", "adapter")]  # the adapter's reader says more
    for path in [*model, *others, *loras, *([embeddings] if embeddings else [])]:
        check_readable(path)


def check_model_file(path: str, adapter: Adapter) -> tuple[str, ...]:
    """Refuse a model that the adapter does not fit by its tensors' names and shapes alone, where the names are Wan's own.

    Returns:
        What to tell of a model that fits.
    """
    shapes = {name: shape for file in model_files(path) for name, shape in tensor_shapes(file).items()}
    known, size = identify_file(shapes), model_size(shapes)
    check_known(known)
    if size is not None:
        check_fits(adapter, size)
    return (known.note,) if known is not None and known.note else ()


def model_files(path: str) -> list[str]:
    """The one file of a diffusion model, or the shards in its folder."""
    if path.endswith(".gguf"):
        raise EX4DError(f"generate reads safetensors; for {os.path.basename(path)} take a graph with a GGUF loader.")
    if os.path.isfile(path):
        return [path]
    shards = sorted(str(shard) for shard in Path(path).glob("diffusion_pytorch_model*.safetensors"))
    if not shards:
        raise EX4DError(f"{path} holds no diffusion_pytorch_model*.safetensors.")
    return shards


def load_model(path: str, dtype: Dtype) -> Model:
    """A diffusion model from one file, or from the shards in a folder."""
    import comfy.sd

    options = {} if dtype == "default" else {"dtype": getattr(torch, dtype)}
    files = model_files(path)
    try:
        if len(files) == 1:
            return comfy.sd.load_diffusion_model(files[0], model_options=options)
        state = {name: tensor for file in files for name, tensor in load_tensors(file).items()}
        model = comfy.sd.load_diffusion_model_state_dict(state, model_options=options)
    except RuntimeError as error:
        if "detect model type" not in str(error):
            raise
        model = None
    if model is None:
        raise EX4DError(f"ComfyUI does not know the model in {path}; EX-4D needs {WAN21_I2V.name}.")
    return model


def load_vae(path: str) -> Vae:
    """ComfyUI's VAE of a file."""
    import comfy.sd

    return comfy.sd.VAE(sd=load_tensors(path))


def add_lora(model: Model, path: str, strength: float) -> Model:
    """A further LoRA, as ComfyUI's own loader adds it; refused where it is none of this model's."""
    import comfy.sd

    patched = comfy.sd.load_lora_for_models(model, None, load_tensors(path), strength, 0)[0]
    if sum(map(len, patched.patches.values())) == sum(map(len, model.patches.values())):
        raise EX4DError(
            f"The LoRA {os.path.basename(path)} matches no layer of the model; expected one of {WAN21_I2V.name}. Leave it out, "
            "or name another."
        )
    return patched


def load_tensors(path: str) -> dict[str, torch.Tensor]:
    """All tensors of a file, as ComfyUI reads them (mapped into memory where it can)."""
    import comfy.utils

    with reading(path):
        return comfy.utils.load_torch_file(path, safe_load=True)


def embeddings(job: Job, files: dict[Kind, str], clip: PreparedClip) -> tuple[Conditioning, Conditioning, object]:
    """Text conditioning and CLIP vision output, computed or read."""
    if job.embeddings:
        return read_embeddings(job.embeddings)
    import comfy.clip_vision
    import comfy.sd

    text = comfy.sd.load_clip([files["text"]], clip_type=comfy.sd.CLIPType.WAN)
    positive, negative = (
        text.encode_from_tokens_scheduled(text.tokenize(prompt)) for prompt in (job.prompt, job.negative_prompt)
    )
    encoder = comfy.clip_vision.load(files["vision"])
    if encoder is None:
        raise EX4DError(
            f"ComfyUI finds no CLIP vision model in {files['vision']}; Wan takes clip_vision_h.safetensors."
        )
    return positive, negative, encoder.encode_image(color_images(clip.part(0, 1)), crop=False)


def read_embeddings(path: str) -> tuple[Conditioning, Conditioning, object | None]:
    """Text conditioning and CLIP vision output from a file, computed elsewhere."""
    import comfy.clip_vision

    data = load_tensors(path)
    if not {"positive", "negative"} <= data.keys():
        raise EX4DError(f"{path} must hold the tensors positive and negative (1, tokens, {WAN21_I2V.text_width}).")
    vision = None
    if "clip_vision" in data:
        vision = comfy.clip_vision.Output()
        vision["penultimate_hidden_states"] = data["clip_vision"]
    return [[data["positive"], {}]], [[data["negative"], {}]], vision
