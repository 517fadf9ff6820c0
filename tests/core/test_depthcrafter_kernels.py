"""The fused GPU kernels, run by Triton's interpreter on the CPU, against plain torch in float64."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import torch
import torch.nn.functional as F
from ex4d_core.depth.depthcrafter import kernels, rows

torch.set_num_threads(1)
torch.set_grad_enabled(False)
kernels.ROWS_PER_STATISTIC = 128
rows.kernels = lambda x: kernels  # as on a CUDA device
generator = torch.Generator().manual_seed(0)
rand = lambda *shape: torch.randn(shape, generator=generator)

def norm(channels, groups=32):
    layer = torch.nn.GroupNorm(groups, channels)
    layer.weight.data, layer.bias.data = rand(channels), rand(channels)
    return layer

for channels in (96, 128):
    # A mean far from zero, where naive sums of squares lose their digits.
    image = (rand(3, channels, 17, 23) * 3 + 50).contiguous(memory_format=torch.channels_last)
    layer, shift = norm(channels), rand(channels)
    x = rows.rows_of(image)
    shifted = image.double() + shift.double()[:, None, None]
    own = F.group_norm(shifted, 32, layer.weight.double(), layer.bias.double(), layer.eps)
    ours = rows.scale_offset(x, rows.group_norm_affine([x], layer, shift), silu=True)
    assert (ours - rows.rows_of(F.silu(own))).abs().max() < 2e-5

    joint = F.group_norm(shifted.transpose(0, 1)[None], 32, layer.weight.double(), layer.bias.double(), layer.eps)
    joint = rows.rows_of(joint[0].transpose(0, 1))
    affine = rows.group_norm_affine([x[:, :100], x[:, 100:]], layer, shift, joint=True)
    assert (rows.scale_offset(x[:, 100:], affine) - joint[:, 100:]).abs().max() < 2e-5

    change, residual, bias, weight = rand(*x.shape), rand(*x.shape), rand(3, channels), torch.tensor([0.3])
    expected = residual + 0.3 * (change + bias[:, None])
    out = residual.clone()
    rows.add_residual(change[:, 7:50], out[:, 7:50], bias, out[:, 7:50], weight)
    assert (out[:, 7:50] - expected[:, 7:50]).abs().max() < 1e-5
    assert torch.equal(out[:, :7], residual[:, :7]) and torch.equal(out[:, 50:], residual[:, 50:])
    expected = residual + change + bias[0]
    rows.add_residual(change, residual, bias[:1], change)
    assert (change - expected).abs().max() < 1e-5

wide = rand(130, 256)
value, gate = wide.chunk(2, -1)
assert (rows.gated_gelu(wide) - value * F.gelu(gate)).abs().max() < 1e-5
for channels in (32, 320):
    layer = torch.nn.LayerNorm(channels)
    layer.weight.data, layer.bias.data = rand(channels), rand(channels)
    tokens = rand(2, 45, channels) * 2 + 5
    assert (rows.layer_norm(tokens, layer) - layer(tokens)).abs().max() < 1e-5
print("kernels agree")
"""


def test_the_kernels_agree_with_torch():
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0 and "kernels agree" in done.stdout, done.stderr[-2000:]


BLOCKED = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] == "torchvision" else self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
import torch
from ex4d_core.depth.depthcrafter import DepthCrafter
assert not {"diffusers", "transformers", "triton", "huggingface_hub"} & set(sys.modules), "heavy imports at start"
folder = sys.argv[1]
crafter = DepthCrafter.from_pretrained(folder + "/depthcrafter_unet_tiny", folder + "/svd_tiny", device="cpu")
assert crafter(torch.rand(1, 64, 64, 3), steps=1).shape == (1, 64, 64)
print("runs without torchvision")
"""


def test_it_imports_lightly_and_runs_without_torchvision(reference):
    pytest.importorskip("diffusers")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", BLOCKED, str(reference / "depthcrafter")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0 and "runs without torchvision" in done.stdout, done.stderr[-2000:]


def test_half_precision_norms_keep_float32_sums():
    import torch
    import torch.nn.functional as F

    from ex4d_core.depth.depthcrafter import rows

    generator = torch.Generator().manual_seed(0)
    x = (torch.randn((3, 500, 64), generator=generator) * 2 + 20).half()
    norm = torch.nn.GroupNorm(32, 64)
    with torch.inference_mode():
        ours = rows.scale_offset(x, rows.group_norm_affine([x], norm), silu=True)
        exact = F.silu(F.group_norm(x.double().transpose(1, 2), 32, eps=norm.eps)).transpose(1, 2)
    assert ours.dtype == torch.float16
    assert float((ours - exact).abs().max()) < 4e-3
