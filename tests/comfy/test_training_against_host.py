"""Our Wan and its adapter's gradients against ComfyUI's own network, computed by a process of the host's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from harness.hosts import ROOT
from safetensors.torch import load_file, save_file

from ex4d_core.training.model import Geometry, Wan, add_adapter, trained
from ex4d_core.training.model.adapter import adapted_layers, prior_of
from ex4d_core.wan.backbone import ModelSize

EQUAL = 2e-5
LAST_WITH_GRADIENTS = (0, 3, 64)
"""Later hosts turn queries and keys by an operation that has no backward pass."""


def distance(got, wanted):
    return float((got.detach() - wanted).norm() / wanted.norm())


def test_output_and_adapter_gradients_are_comfyuis(host, tmp_path):
    if host.release != LAST_WITH_GRADIENTS:
        pytest.skip("only ComfyUI 0.3.64's Wan gives gradients")
    torch.manual_seed(4)
    # ComfyUI fixes the CLIP width at 1280.
    wan = Wan(Geometry(ModelSize(256, 128, 2, 36), text_width=32))
    with torch.no_grad():
        for name, value in wan.named_parameters():
            if "norm" in name or "modulation" in name:
                value.add_(torch.randn_like(value), alpha=0.2)
    add_adapter(wan, rank=3, hidden=8)
    with torch.no_grad():
        for value in trained(wan).values():
            value.add_(torch.randn_like(value), alpha=0.05)
    shapes = (1, 36, 2, 4, 6), (1, 512, 32), (1, 257, 1280), (1, 16, 2, 4, 6), (1, 16, 2, 4, 6)
    x, text, clip, *prior = (torch.randn(shape) for shape in shapes)
    timestep = torch.tensor([431.0])
    tokens = []
    prior_of(wan).register_forward_hook(lambda _module, _inputs, output: tokens.append(output))
    output = wan(x, timestep, text, clip, (prior[0], prior[1]))
    tokens[0].retain_grad()
    output.square().mean().backward()

    theirs = host_gradients(host, tmp_path, merged(wan), x=x, timestep=timestep, text=text, clip=clip, prior=tokens[0])
    assert distance(output, theirs["output"]) <= EQUAL
    assert distance(tokens[0].grad, theirs["grad_prior"]) <= EQUAL
    names = {id(module): name for name, module in wan.named_modules()}
    for layer in adapted_layers(wan):
        down, up, full = layer.lora_A["default"].weight, layer.lora_B["default"].weight, names[id(layer)]
        gradient = theirs[f"grad/{full}.weight"]
        assert distance(up.grad, gradient @ down.detach().T) <= EQUAL, full
        assert distance(down.grad, up.detach().T @ gradient) <= EQUAL, full


def merged(wan):
    """The weights under Wan's names, W + B A."""
    state = {n: v.clone() for n, v in wan.state_dict().items() if "lora_" not in n and not n.startswith("prior.")}
    names = {id(module): name for name, module in wan.named_modules()}
    for layer in adapted_layers(wan):
        state[f"{names[id(layer)]}.weight"] += (
            layer.lora_B["default"].weight.detach() @ layer.lora_A["default"].weight.detach()
        )
    return state


def host_gradients(host, folder, weights, **inputs):
    given = {name: value.detach().contiguous() for name, value in inputs.items()}
    save_file(given | {f"weight/{name}": value for name, value in weights.items()}, folder / "in.safetensors")
    script = folder / "wan_gradients.py"  # a copy: beside the original lies this repository's harness
    script.write_bytes((ROOT / "tests" / "harness" / script.name).read_bytes())
    command = [sys.executable, str(script), str(folder / "in.safetensors"), str(folder / "out.safetensors")]
    environment = os.environ | {"PYTHONPATH": str(host.path)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return load_file(folder / "out.safetensors")
