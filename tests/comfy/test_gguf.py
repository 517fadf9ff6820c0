"""The adapter on a model that ComfyUI-GGUF has loaded: the LoRA through its patching, the prior beside it.

Runs where the custom node is found: in the folder COMFYUI_GGUF_PATH, or in the host's own custom_nodes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from harness.fourdnex import TinyHalves
from harness.server import Server, place
from harness.wan import Tiny, distance, node
from safetensors.torch import load_file, save_file

HALF = 3e-3
"""What five steps may differ by when weights pass through half precision, as ComfyUI-GGUF reads them."""


@pytest.fixture()
def gguf_server(host, tmp_path):
    """A server with ComfyUI-GGUF beside the pack."""
    pytest.importorskip("gguf", reason="the package gguf is not installed")
    source = Path(os.environ.get("COMFYUI_GGUF_PATH") or host.path / "custom_nodes" / "ComfyUI-GGUF")
    if not (source / "nodes.py").is_file():
        pytest.skip(f"no ComfyUI-GGUF at {source} (set COMFYUI_GGUF_PATH)")
    server = Server(host, tmp_path / "base")
    place(source, server.base / "custom_nodes" / "ComfyUI-GGUF", copy=False)
    with server:
        yield server


def write_q8(source: Path, target: Path) -> dict:
    """Write a model as GGUF, its matrices in Q8_0; returns the values that this leaves."""
    import gguf
    import torch

    writer, left = gguf.GGUFWriter(path=None, arch="wan"), {}
    for name, tensor in load_file(source).items():
        kind = gguf.GGMLQuantizationType.Q8_0 if tensor.ndim == 2 else gguf.GGMLQuantizationType.F32
        values = tensor.float().numpy()
        if values.ndim > 4:  # more than GGUF has; the loader reads the shape from here
            writer.add_array(f"comfy.gguf.orig_shape.{name}", list(values.shape))
            values = values.reshape(len(values), -1)
        stored = gguf.quants.quantize(values, kind)
        writer.add_tensor(name, stored, raw_dtype=kind)
        left[name] = torch.from_numpy(gguf.quants.dequantize(stored, kind).copy()).reshape(tensor.shape)
    writer.write_header_to_file(path=target)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return left


def test_lora_and_prior_work_on_a_quantised_model(gguf_server, reference):
    tiny = Tiny(gguf_server, reference)
    folder = gguf_server.base / "models" / "diffusion_models"
    left = write_q8(tiny.folder / "dit_tiny.safetensors", folder / "wan_q8.gguf")
    save_file(left, folder / "wan_rounded.safetensors")
    results = {}
    for strength in (1.0, 0.0):
        prompt = tiny.loaders(lora_strength=strength) | tiny.conditioning() | tiny.ksampler()
        prompt["model"]["inputs"]["unet_name"] = "wan_rounded.safetensors"
        results["rounded", strength] = tiny.run(prompt, latent=("latent", 0))["latent"]
        prompt["model"] = node("UnetLoaderGGUF", unet_name="wan_q8.gguf")
        results["gguf", strength] = tiny.run(prompt, latent=("latent", 0))["latent"]
    golden = tiny.golden("traj_r16_cfg5_final", "sampler_golden")
    assert distance(results["gguf", 1.0], results["rounded", 1.0]) < HALF
    assert distance(results["gguf", 0.0], results["rounded", 0.0]) < HALF
    assert distance(results["gguf", 1.0], golden) < 0.1 < distance(results["gguf", 0.0], golden)


def test_lora_and_vectors_of_4dnex_work_on_a_quantised_model(gguf_server, reference):
    tiny = TinyHalves(gguf_server, reference / "fourdnex", reference / "adapter")
    folder = gguf_server.base / "models" / "diffusion_models"
    left = write_q8(tiny.folder / "wan_tiny.safetensors", folder / "wan_q8_4dnex.gguf")
    save_file(left, folder / "wan_rounded_4dnex.safetensors")
    results = {}
    for vectors in ("tiny_4dnex.pt", "none.pt"):
        prompt = tiny.loaders(vectors=vectors) | tiny.conditioning() | tiny.advanced()
        prompt["model"]["inputs"]["unet_name"] = "wan_rounded_4dnex.safetensors"
        results["rounded", vectors] = tiny.run(prompt, latent=("latent", 0))["latent"]
        prompt["model"] = node("UnetLoaderGGUF", unet_name="wan_q8_4dnex.gguf")
        results["gguf", vectors] = tiny.run(prompt, latent=("latent", 0))["latent"]
        assert distance(results["gguf", vectors], results["rounded", vectors]) < HALF
    golden = tiny.golden("cfg5_final")
    assert distance(results["gguf", "tiny_4dnex.pt"], golden) < 0.1 < distance(results["gguf", "none.pt"], golden)
