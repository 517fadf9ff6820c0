"""The example graphs for models other than EX-4D, made small: tiny random weights where stock loaders read them, depth pictures
in MoGe's place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from . import workflow
from .chain import HEIGHT, WIDTH, WORKFLOWS, change, of, stand_in, write_inputs
from .wan import Tiny, layout, node

GRAPHS = (
    *("VACE (Wan 2.1)", "VACE (Wan 2.2)", "Uni3C", "CrossView (LTX 2.3)", "CrossView (MiniMax-H3)"),
    "Meridian (MiniMax-H3)",
)
SINCE = (0, 33)
"""The release that these graphs were opened and run on; 0.3.64 lacks some of their nodes."""
CLIP_FRAMES = 6
FRAMES = {
    "VACE (Wan 2.1)": 5,
    "VACE (Wan 2.2)": 5,
    "Uni3C": 5,
    "CrossView (LTX 2.3)": 9,
    "CrossView (MiniMax-H3)": 5,
    "Meridian (MiniMax-H3)": 73,
}
"""What becomes of the small clip's 6 frames at 15 a second; at 24 a second there are 10 of them; Meridian's shortest has 73."""
LOADABLE = ("VACE (Wan 2.1)", "VACE (Wan 2.2)", "Uni3C")
"""The graphs whose stock loaders take tiny weights."""
HEAVY = ("LoadMoGeModel", "UNETLoader", "CheckpointLoaderSimple", "CLIPLoader", "VAELoader", "LTXAVTextEncoderLoader",
         "LTXVAudioVAELoader", "ModelPatchLoader", "BruxosMeridianTextCond")  # fmt: skip


def runs_on(name: str, host) -> bool:
    """Whether a host has the nodes of an example graph, by its name."""
    return name not in GRAPHS or host.release >= SINCE


def vace_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Wan 2.1 VACE in small, from the recorded tiny model's weights: as many control blocks as it has blocks."""
    random = torch.Generator().manual_seed(7)
    state = layout(state, "Wan2.1 T2V")
    blocks = {key.split(".")[1] for key in state if key.startswith("blocks.")}
    made = {f"vace_{key}": value.clone() for key, value in state.items() if key.startswith("blocks.")}
    for block in blocks:
        for part in ("before_proj", "after_proj") if block == "0" else ("after_proj",):
            made[f"vace_blocks.{block}.{part}.weight"] = 0.05 * torch.randn(256, 256, generator=random)
            made[f"vace_blocks.{block}.{part}.bias"] = torch.zeros(256)
    made["vace_patch_embedding.weight"] = 0.05 * torch.randn(256, 96, 1, 2, 2, generator=random)
    made["vace_patch_embedding.bias"] = torch.zeros(256)
    return state | made


def uni3c_state() -> dict[str, torch.Tensor]:
    """Uni3C in small, one block, under the published file's names."""
    random = torch.Generator().manual_seed(8)
    shapes = {
        "controlnet_patch_embedding": (64, 36, 1, 2, 2),
        "controlnet_mask_embedding.mask_proj.0": (16, 7, 4, 8, 8),
        "controlnet_mask_embedding.mask_proj.1": (16,),
        "controlnet_mask_embedding.mask_zero_proj": (64, 16, 1, 2, 2),
        "proj_in": (256, 64),
        "proj_out.0": (256, 256),
    }
    block = {"ffn.0": (512, 256), "ffn.2": (256, 512)}
    block |= {f"norm{i}.linear": (768, 256) for i in (1, 2)} | {f"norm{i}.norm": (256,) for i in (1, 2)}
    block |= {f"self_attn.{part}": (256, 256) for part in ("to_q", "to_k", "to_v", "to_out.0")}
    shapes |= {f"controlnet_blocks.0.{name}": shape for name, shape in block.items()}
    state = {f"{name}.weight": 0.1 * torch.randn(shape, generator=random) for name, shape in shapes.items()}
    state |= {f"{name}.bias": torch.zeros(shape[0]) for name, shape in shapes.items()}
    return state | {f"controlnet_blocks.0.self_attn.norm_{part}.weight": torch.ones(256) for part in "qk"}


@contextmanager
def tiny_models(server, reference: Path) -> Iterator[Tiny]:
    """Tiny files under the real ones' names, and the clip; gone afterwards."""
    tiny, folders = Tiny(server, reference), server.base / "models"
    wan = load_file(tiny.folder / "dit_tiny.safetensors")
    vace = vace_state(wan)
    files = {
        "diffusion_models/wan2.1_vace_14B_fp16.safetensors": vace,
        "diffusion_models/wan2.2_fun_vace_high_noise_14B_fp8_scaled.safetensors": vace,
        "diffusion_models/wan2.2_fun_vace_low_noise_14B_fp8_scaled.safetensors": vace,
        "diffusion_models/wan2.1_i2v_480p_14B_fp16.safetensors": wan,
        "model_patches/Wan21_Uni3C_controlnet_fp16.safetensors": uni3c_state(),
    }
    written = []
    for name, state in files.items():
        file = folders / name
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, file)
        written.append(file)
    written += write_inputs(server.input)
    try:
        yield tiny
    finally:
        for file in written:
            file.unlink()


def small_prompt(client, name: str) -> dict:
    """A graph on the small clip, with depth pictures in place of MoGe."""
    prompt = workflow.to_prompt(workflow.load(WORKFLOWS / f"{name}.json"), client.object_info())
    small = {"file": "chain.mp4", "frames": CLIP_FRAMES, "fps": 0.0, "width": WIDTH, "height": HEIGHT}
    change(prompt, {"EX4DLoadVideo": small})
    for kind in ("LoadMoGeModel", "MoGeInference"):
        (gone,) = of(prompt, kind)
        del prompt[gone]
    (depth,) = of(prompt, "EX4DDepthFromImage")
    prompt[depth]["inputs"] = {"images": ["pictures", 0], "kind": "disparity", "near": 2.0, "far": 100.0}
    pictures = node("EX4DTestImages", kind="depth", width=WIDTH, height=HEIGHT, frames=FRAMES[name])
    return prompt | {"pictures": pictures}


def light(prompt: dict) -> dict:
    """The part of a graph that needs no weights."""
    kept = dict(prompt)
    while True:
        gone = [
            key
            for key, entry in kept.items()
            if entry["class_type"] in HEAVY
            or any(isinstance(value, list) and value[0] not in kept for value in entry["inputs"].values())
        ]
        if not gone:
            return kept
        for key in gone:
            del kept[key]


def runnable(tiny: Tiny, client, name: str, steps: int) -> dict:
    """A graph with tiny weights, few steps, recorded text and the narrow VAE."""
    prompt = small_prompt(client, name)
    for key in (*of(prompt, "KSampler"), *of(prompt, "KSamplerAdvanced")):
        inputs = prompt[key]["inputs"]
        inputs["steps"] = steps
        for edge in ("start_at_step", "end_at_step"):
            if inputs.get(edge) == 10:
                inputs[edge] = steps // 2
    return stand_in(tiny, prompt)
