"""The graphs with models, from their files, in a real ComfyUI: tiny weights under the real files' names, small clips.

Stock loaders read what can be made small (Wan, LoRA, adapter, DepthCrafter). The text encoder, CLIP vision and the VAE
have sizes that ComfyUI fixes; recorded embeddings and a narrow VAE stand in for them.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from harness import workflow
from harness.wan import Tiny, node
from safetensors.torch import load_file, save_file
from test_depthcrafter_node import models as depth_models  # noqa: F401

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
WAN = "wan2.1_i2v_480p_14B_fp16.safetensors"
WAN_FP8 = "wan2.1_i2v_480p_14B_fp8_e4m3fn.safetensors"
FAST_LORA = "lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors"
WIDTH, HEIGHT = 96, 64
GRAPHS = {
    "Re-shoot full EX-4D": (9, 25),
    "Few steps": (9, 4),
    "Small GPU (fp8 or GGUF)": (9, 4),
    "Long clip": (13, 25 * 2),
    "Single image to 4D": (9, 25),
    "Re-shoot with stock samplers": (9, 25),
}
"""Graph -> frames of its result here, steps of its sampler."""


@pytest.fixture()
def chain(server, reference, depth_models):  # noqa: F811
    """Tiny files where the graphs look for the published ones, and a clip and a picture to load; gone afterwards."""
    from ex4d_core.video import save_video

    tiny = Tiny(server, reference)
    folders = server.base / "models"
    files = [folders / "diffusion_models" / name for name in (WAN, WAN_FP8)]
    files += [folders / "ex4d" / "ex4d.ckpt", folders / "loras" / FAST_LORA]
    wan = load_file(tiny.folder / "dit_tiny.safetensors")
    shutil.copyfile(tiny.folder / "dit_tiny.safetensors", files[0])
    save_file({k: v.to(torch.float8_e4m3fn) if v.ndim == 2 else v.half() for k, v in wan.items()}, files[1])
    shutil.copyfile(tiny.folder / "ex4d_tiny_r16.ckpt", files[2])
    lora = load_file(tiny.folder / "ex4d_tiny_r16.safetensors")
    lora = {f"diffusion_model.{k.replace('.default', '')}": 0.1 * v for k, v in lora.items() if "lora" in k}
    save_file(lora, files[3])
    files += [server.input / "chain.mp4", server.input / "chain.png"]
    y, x = torch.meshgrid(torch.linspace(0, 1, HEIGHT), torch.linspace(0, 1, WIDTH), indexing="ij")
    clip = torch.stack([torch.stack([x, y, (x + 0.05 * t) % 1], dim=-1) for t in range(13)])
    save_video(files[4], clip, 15.0)
    picture(files[5], clip[0])
    yield tiny
    for file in files:
        file.unlink()


def picture(path: Path, image: torch.Tensor) -> None:
    from PIL import Image

    Image.fromarray((image * 255).round().byte().numpy()).save(path)


@dataclass(frozen=True)
class SmallGraph:
    """A graph on a small clip with the stand-ins, and the ids of what samples, makes the frames, and saves the video."""

    prompt: dict
    sampling: str
    frames: str
    saved: str


def small_graph(tiny: Tiny, client, name: str, **sampler) -> SmallGraph:
    """The graph of a name; ``sampler`` are changes of its Wan EX-4D Sampler."""
    prompt = workflow.to_prompt(workflow.load(WORKFLOWS / f"{name}.json"), client.object_info())
    frames = GRAPHS[name][0]
    changes = {
        "EX4DLoadVideo": {"file": "chain.mp4", "frames": frames, "width": WIDTH, "height": HEIGHT},
        "LoadImage": {"image": "chain.png"},
        "WanImageToVideo": {"width": WIDTH, "height": HEIGHT, "length": frames},
        "EX4DDepthCrafter": {"steps": 1},
        "WanEX4DSampler": {"segment_frames": 9, "segment_overlap": 5, **sampler},
    }
    for entry in prompt.values():
        assert changes.get(entry["class_type"], {}).keys() <= entry["inputs"].keys()
        entry["inputs"] |= changes.get(entry["class_type"], {})
    if of(prompt, "WanEX4DSampler"):
        (sampling,) = (made,) = (conditioned,) = of(prompt, "WanEX4DSampler")
    else:
        (sampling,), (made,) = of(prompt, "SamplerCustomAdvanced"), of(prompt, "VAEDecode")
        (conditioned,) = of(prompt, "EX4DConditioning")
    (saved,) = of(prompt, "SaveVideo")
    return SmallGraph(stand_in(tiny, prompt, prompt[conditioned]["inputs"]), sampling, made, saved)


def of(prompt: dict, kind: str) -> list[str]:
    """The ids of the nodes of a class."""
    return [key for key, entry in prompt.items() if entry["class_type"] == kind]


def stand_in(tiny: Tiny, prompt: dict, texts: dict) -> dict:
    """Recorded text (``texts`` are the inputs it goes into) and CLIP vision in place of their encoders, the narrow VAE."""
    folder = str(tiny.folder)
    (vae,) = of(prompt, "VAELoader")
    places = {texts["positive"][0]: 0, texts["negative"][0]: 1}
    places |= dict.fromkeys(of(prompt, "CLIPVisionEncode"), 2)
    gone = [*places, *of(prompt, "CLIPLoader"), *of(prompt, "CLIPVisionLoader"), *of(prompt, "ImageFromBatch")]
    for entry in prompt.values():
        for key, value in entry["inputs"].items():
            if isinstance(value, list) and value[0] in places:
                entry["inputs"][key] = ["recorded", places[value[0]]]
    kept = {key: entry for key, entry in prompt.items() if key not in gone}
    kept |= {"recorded": node("EX4DTestText", folder=folder, pad=False), vae: node("EX4DTestTinyVAE", folder=folder)}
    return kept


def check_result(tiny: Tiny, result, name: str, saved: str) -> None:
    """As many frames as the graph was given, of its size, finite, with something in them; and the same as a video."""
    from ex4d_core.video import load_video

    frames = torch.load(tiny.server.output / "chain.pt")
    count = GRAPHS[name][0]
    assert frames.shape == (count, HEIGHT, WIDTH, 3)
    assert bool(torch.isfinite(frames).all()) and float(frames.std()) > 1e-3
    (file,) = result.outputs[saved]["images"]
    video = load_video(tiny.server.output / file["subfolder"] / file["filename"])
    assert video.frames.shape == (count, HEIGHT, WIDTH, 3)
    assert video.fps == pytest.approx(15)


def recording(graph: SmallGraph) -> dict:
    return graph.prompt | {"frames": node("EX4DTestRecord", value=[graph.frames, 0], name="chain")}


def test_the_full_graph_is_cancelled_while_sampling_and_runs_again(chain, client):
    name = "Re-shoot full EX-4D"
    graph = small_graph(chain, client, name, seed=21, steps=2000)
    seen = []

    def stop(kind, data):
        if kind == "progress" and data["node"] == graph.sampling and data["value"] >= 3:
            seen.append(data["value"])
            client.interrupt()

    cancelled = client.queue(recording(graph), on_message=stop)
    assert cancelled.status == "interrupted" and seen
    assert max(value for where, value, _ in cancelled.progress if where == graph.sampling) < 2000
    assert graph.saved not in cancelled.outputs
    (chain.server.output / "chain.pt").unlink(missing_ok=True)
    graph = small_graph(chain, client, name, seed=21)
    result = client.queue(recording(graph)).ok()
    check_result(chain, result, name, graph.saved)
    kinds = {graph.prompt[key]["class_type"] for key in result.cached}
    assert {"UNETLoader", "EX4DAdapterLoader", "EX4DDepthCrafter", "EX4DRenderColorMask"} <= kinds


@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "Re-shoot full EX-4D"])
def test_the_graph_makes_its_video(chain, client, name):
    (chain.server.output / "chain.pt").unlink(missing_ok=True)
    graph = small_graph(chain, client, name, seed=22)
    result = client.queue(recording(graph)).ok()
    check_result(chain, result, name, graph.saved)
    steps = [(value, top) for where, value, top in result.progress if where == graph.sampling]
    assert steps[-1] == (GRAPHS[name][1],) * 2
    assert json.loads(result.text("frames"))["shape"][0] == GRAPHS[name][0]
