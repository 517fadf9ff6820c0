"""The other side of ``generate``: runs inside ComfyUI's folder, in a process of its own.

Started as a file, never imported: ComfyUI's own modules come first on the path, and the pack is loaded by its folder, as
ComfyUI does. The settings are one JSON file: see ``commands/generate.py``.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import sys
from pathlib import Path

BAD_INPUT = 2
PACK = Path(__file__).resolve().parents[3]
WEIGHTS = {
    "dit": ("diffusion_models", ("wan2.1_i2v_480p_14B_{}.safetensors", "wan2.1_i2v_720p_14B_{}.safetensors"),
            ("fp16", "bf16", "fp8_scaled", "fp8_e4m3fn")),
    "text": ("text_encoders", ("umt5_xxl_{}.safetensors",), ("fp16", "fp8_e4m3fn_scaled")),
    "vae": ("vae", ("wan_2.1_vae.safetensors",), ("",)),
    "vision": ("clip_vision", ("clip_vision_h.safetensors",), ("",)),
    "adapter": ("ex4d", ("ex4d.safetensors", "ex4d.ckpt"), ("",)),
}  # fmt: skip
"""What each weight file is called where ComfyUI's own pages offer it, and the folder under models/ it goes into."""


def main(path: str) -> int:
    """Run the settings in the file; returns the exit code."""
    settings = json.loads(Path(path).read_text(encoding="utf-8"))
    sys.argv = ["main.py", "--disable-api-nodes", *settings["comfy_args"]]
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    import comfy.options

    comfy.options.enable_args_parsing()
    read_extra_model_paths()
    nodes = importlib.import_module("nodes")  # ComfyUI's
    if not asyncio.run(nodes.load_custom_node(str(PACK))):
        print(f"error: ComfyUI in {os.getcwd()} could not load the pack at {PACK}.", file=sys.stderr)
        return BAD_INPUT
    core = next(name for name in list(sys.modules) if name.endswith(".ex4d_core"))
    errors = importlib.import_module(f"{core}.errors")
    import torch

    try:
        with torch.inference_mode():
            generate(settings, core)
    except errors.EX4DError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def read_extra_model_paths() -> None:
    """The model folders that ComfyUI itself would know: extra_model_paths.yaml and --extra-model-paths-config."""
    from comfy.cli_args import args
    from utils.extra_config import load_extra_path_config

    usual = os.path.join(os.getcwd(), "extra_model_paths.yaml")
    named = [path for paths in args.extra_model_paths_config or [] for path in paths]
    for path in [usual] * os.path.isfile(usual) + named:
        load_extra_path_config(path)


def generate(settings: dict, core: str) -> None:
    """Load what is named, sample, write the video; what can be refused is refused before a large file is read."""
    part = {
        name.rpartition(".")[2]: importlib.import_module(f"{core}.wan.{name}")
        for name in (
            "checkpoint", "clip", "segments", "videos", "host.patch", "host.sampling", "host.conditioning"
        )
    }  # fmt: skip
    error = importlib.import_module(f"{core}.errors").EX4DError
    run = part["sampling"].Run(**settings["run"])
    part["sampling"].check_run(run)
    prior = part["patch"].PriorSettings(strength=settings["prior_strength"])
    files = find_files(settings, error)
    loras = [(find_lora(name, error), strength) for name, strength in settings["loras"]]
    adapter = part["checkpoint"].load_adapter(files["adapter"])
    part["patch"].check_parts(adapter, settings["lora_strength"], prior)
    check_model_file(files["dit"], adapter, part["checkpoint"], error)
    color, mask = part["videos"].read_color_and_mask(settings["color_video"], settings["mask_video"])
    clip = part["clip"].prepare_clip(color, mask, **settings["clip"])
    for note in clip.notes:
        print(f"note: {note}", file=sys.stderr)
    part["segments"].plan(clip.frames, run.segment, run.overlap)
    vae = load_vae(files["vae"])
    part["conditioning"].check_vae(vae)
    positive, negative, vision = embeddings(settings, files, clip, part, error)
    part["conditioning"].check_text("positive", positive)
    part["conditioning"].check_text("negative", negative)
    model = load_model(files["dit"], settings["dtype"], error)
    for path, strength in loras:
        model = add_lora(model, path, strength)
    model = part["patch"].add_adapter(model, adapter, settings["lora_strength"], prior)
    frames, _ = part["sampling"].sample_clip(model, vae, positive, negative, clip, run, clip_vision=vision)
    video = importlib.import_module(f"{core}.video")
    os.makedirs(os.path.dirname(settings["output_video"]), exist_ok=True)
    video.save_video(settings["output_video"], frames, settings["fps"])
    print(settings["output_video"])


def find_files(settings: dict, error: type[Exception]) -> dict[str, str]:
    """Path of every weight file that this run needs, all found before any is read."""
    wanted = ["dit", "vae", "adapter"] + ([] if settings["embeddings"] else ["text", "vision"])
    return {kind: find_file(kind, settings["files"][kind], error) for kind in wanted}


def find_lora(name: str, error: type[Exception]) -> str:
    """A path, or a name in ComfyUI's models/loras."""
    import folder_paths

    path = name if os.path.exists(name) else folder_paths.get_full_path("loras", name)
    if not path:
        raise error(f"There is no LoRA {name}, neither as a path nor in ComfyUI's models/loras.")
    return path


def check_model_file(path: str, adapter, checkpoint, error: type[Exception]) -> None:
    """Refuse a model that the adapter does not fit by its tensors' shapes alone, where the names are Wan's own."""
    shapes = {name: shape for file in model_files(path, error) for name, shape in tensor_shapes(file, error).items()}
    for prefix in ("", "model.diffusion_model.", "diffusion_model."):
        embedding, feed_forward = (
            shapes.get(prefix + name) for name in ("patch_embedding.weight", "blocks.0.ffn.0.weight")
        )
        if embedding and feed_forward:
            blocks = sum(f"{prefix}blocks.{i}.ffn.0.weight" in shapes for i in range(len(shapes)))
            checkpoint.check_fits(
                adapter, dim=embedding[0], in_channels=embedding[1], ffn_dim=feed_forward[0], blocks=blocks
            )


def tensor_shapes(path: str, error: type[Exception]) -> dict[str, list[int]]:
    """Name -> shape of a safetensors file's tensors, from its header; nothing for files of other kinds."""
    if not path.endswith((".safetensors", ".sft")):
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118, it is no dict
    except SafetensorError as failure:
        raise error(f"{path} cannot be read ({failure}); fetch the file again.") from failure


def find_file(kind: str, given: str | None, error: type[Exception]) -> str:
    """A path, a name in ComfyUI's folder, or one of the usual names."""
    import folder_paths

    folder, names, precisions = WEIGHTS[kind]
    if given:
        found = given if os.path.exists(given) else folder_paths.get_full_path(folder, given)
        if not found:
            raise error(f"There is no {given}, neither as a path nor in ComfyUI's models/{folder}.")
        return found
    usual = [name.format(precision) for name in names for precision in precisions]
    for name in usual:
        if found := folder_paths.get_full_path(folder, name):
            return found
    raise error(f"ComfyUI's models/{folder} holds none of {', '.join(dict.fromkeys(usual))}; name the file to use.")


def embeddings(settings: dict, files: dict, clip, part: dict, error: type[Exception]):
    """Text conditioning and CLIP vision output, computed or read."""
    import comfy.clip_vision
    import comfy.sd
    import comfy.utils

    if settings["embeddings"]:
        data = comfy.utils.load_torch_file(settings["embeddings"], safe_load=True)
        if not {"positive", "negative"} <= data.keys():
            raise error(f"{settings['embeddings']} must hold the tensors positive and negative (1, tokens, 4096).")
        vision = None
        if "clip_vision" in data:
            vision = comfy.clip_vision.Output()
            vision["penultimate_hidden_states"] = data["clip_vision"]
        return [[data["positive"], {}]], [[data["negative"], {}]], vision
    text = comfy.sd.load_clip([files["text"]], clip_type=comfy.sd.CLIPType.WAN)
    positive, negative = (
        text.encode_from_tokens_scheduled(text.tokenize(settings[name])) for name in ("prompt", "negative_prompt")
    )
    first = part["clip"].color_images(clip.part(0, 1))
    vision = comfy.clip_vision.load(files["vision"]).encode_image(first, crop=False)
    return positive, negative, vision


def model_files(path: str, error: type[Exception]) -> list[str]:
    """The one file of a diffusion model, or the shards in its folder."""
    if path.endswith(".gguf"):
        raise error(f"generate reads safetensors; for {os.path.basename(path)} take a graph with a GGUF loader.")
    if os.path.isfile(path):
        return [path]
    shards = sorted(str(shard) for shard in Path(path).glob("diffusion_pytorch_model*.safetensors"))
    if not shards:
        raise error(f"{path} holds no diffusion_pytorch_model*.safetensors.")
    return shards


def load_model(path: str, dtype: str, error: type[Exception]):
    """A diffusion model from one file, or from the shards in a folder."""
    import comfy.sd
    import comfy.utils
    import torch

    options = {} if dtype == "default" else {"dtype": getattr(torch, dtype)}
    files = model_files(path, error)
    try:
        if len(files) == 1:
            return comfy.sd.load_diffusion_model(files[0], model_options=options)
        state: dict = {}
        for file in files:
            state.update(comfy.utils.load_torch_file(file, safe_load=True))
        model = comfy.sd.load_diffusion_model_state_dict(state, model_options=options)
    except RuntimeError as failure:
        if "detect model type" not in str(failure):
            raise
        model = None
    if model is None:
        raise error(f"ComfyUI does not know the model in {path}; EX-4D needs Wan2.1 I2V 14B.")
    return model


def load_vae(path: str):
    """ComfyUI's VAE of a file."""
    import comfy.sd
    import comfy.utils

    return comfy.sd.VAE(sd=comfy.utils.load_torch_file(path, safe_load=True))


def add_lora(model, path: str, strength: float):
    """A further LoRA, as ComfyUI's own loader adds it."""
    import comfy.sd
    import comfy.utils

    return comfy.sd.load_lora_for_models(model, None, comfy.utils.load_torch_file(path, safe_load=True), strength, 0)[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
