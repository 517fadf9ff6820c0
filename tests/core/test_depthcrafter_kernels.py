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
from ex4d_core.depth.depthcrafter import kernels, rows, time_kernel

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

    # A picture's inner part into every other pixel of a larger one.
    picture, large = rand(2, 6, 8, channels), torch.zeros(2, 10, 14, channels)
    rows.add_bias(picture[:, 1:, :7], bias[0], large[:, 1::2, ::2])
    assert torch.equal(large[:, 1::2, ::2], picture[:, 1:, :7] + bias[0])
    assert not large[:, ::2].any() and not large[:, :, 1::2].any()

wide = rand(130, 256)
value, gate = wide.chunk(2, -1)
assert (rows.gated_gelu(wide) - value * F.gelu(gate)).abs().max() < 1e-5
for channels in (32, 320):
    layer = torch.nn.LayerNorm(channels)
    layer.weight.data, layer.bias.data = rand(channels), rand(channels)
    tokens = rand(2, 45, channels) * 2 + 5
    assert (rows.layer_norm(tokens, layer) - layer(tokens)).abs().max() < 1e-5

# Triton's interpreter takes no range up to a tensor with numpy 2.4 and newer.
time_kernel.range = lambda first, last: range(first, last.handle.data.item())
for channels, made in ((32, 96), (64, 128), (128, 64)):
    weight, x, bias = rand(made, channels, 3, 1, 1).half(), rand(3, 150, channels).half(), rand(made).half()
    exact = F.conv3d(x.float().permute(2, 0, 1)[None, ..., None], weight.float(), padding=(1, 0, 0))
    exact = exact[0, ..., 0].permute(1, 2, 0)
    taps = weight[..., 0, 0].transpose(1, 2).contiguous()
    assert time_kernel.takes(x, made)
    out = torch.empty(3, 150, made).half()
    time_kernel.conv_over_time(x, taps, out)
    assert ((out - exact).abs() <= 1e-3 * (1 + exact.abs())).all()
    whole = rand(3, 200, made).half()
    expected = whole.float()
    expected[:, 20:170] += 0.3 * (exact + bias.float())
    time_kernel.conv_over_time(x, taps, whole[:, 20:170], (bias, torch.tensor([0.3])))
    assert ((whole - expected).abs() <= 1e-3 * (1 + expected.abs())).all()
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


@pytest.mark.parametrize("card", ["before Ampere", "too small", "fit"])
def test_where_the_kernel_over_time_cannot_run_torch_convolves(card, monkeypatch):
    import torch

    from ex4d_core.depth.depthcrafter import rows

    class Kernel:
        def conv_over_time(self, x, weight, out):
            if card == "too small":
                raise RuntimeError("out of resource: shared memory")

    kernel = Kernel()
    monkeypatch.setitem(sys.modules, "ex4d_core.depth.depthcrafter.time_kernel", kernel)
    monkeypatch.setattr(sys.modules["ex4d_core.depth.depthcrafter"], "time_kernel", kernel, raising=False)
    monkeypatch.setattr(rows, "kernels", lambda x: object())
    monkeypatch.setattr(rows, "_over_time_tried", False)
    monkeypatch.setattr(rows, "_over_time", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5) if card == "before Ampere" else (9, 0))
    assert rows.time_kernel(torch.zeros(1, 2, 32)) is None  # float32
    half = torch.zeros(1, 2, 32).half()
    assert [rows.time_kernel(half) for _ in range(2)] == ([kernel] * 2 if card == "fit" else [None] * 2)


def test_a_picture_is_doubled_and_convolved_at_its_small_size():
    import torch
    import torch.nn.functional as F

    from ex4d_core.depth.depthcrafter import layers

    generator = torch.Generator().manual_seed(0)
    for height, width in ((3, 5), (1, 1)):
        x = torch.randn((2, 6, height, width), generator=generator).contiguous(memory_format=torch.channels_last)
        upsampler = torch.nn.Module()
        upsampler.conv = torch.nn.Conv2d(6, 4, 3, padding=1)
        with torch.inference_mode():
            source = layers.upsampled(upsampler, x)
            plain = upsampler.conv(F.interpolate(x, scale_factor=2, mode="nearest"))
            assert source.size == (2 * height, 2 * width)
            assert torch.allclose(source.read(0, 2), plain, atol=1e-6)
            assert torch.allclose(source.read(1, 2), plain[1:], atol=1e-6)


def test_attention_as_two_products_is_attention(monkeypatch):
    import torch
    import torch.nn.functional as F

    from ex4d_core.depth.depthcrafter import attention

    monkeypatch.setattr(attention, "QUERIES", 7)
    generator = torch.Generator().manual_seed(0)
    # As they come of one product: heads beside each other.
    query, key, value = torch.randn((2, 20, 3, 3, 8), generator=generator).permute(2, 0, 3, 1, 4)
    ours = attention.by_products(query, key, value)
    assert torch.allclose(ours, F.scaled_dot_product_attention(query, key, value), atol=1e-6)


def test_what_float16_cannot_hold_is_encoded_in_float32(reference, monkeypatch):
    import torch

    from ex4d_core.depth.depthcrafter import pipeline

    pytest.importorskip("diffusers")
    folder = reference / "depthcrafter"
    crafter = pipeline.DepthCrafter.from_pretrained(
        folder / "depthcrafter_unet_tiny", folder / "svd_tiny", dtype=torch.float16, device="cpu"
    )
    encode, types = pipeline.nets.encode, []

    def overflowing(encoder, quant_conv, pixels, run):
        types.append(pixels.dtype)
        made = encode(encoder, quant_conv, pixels, run)
        return made if pixels.dtype == torch.float32 else made.fill_(torch.inf)

    monkeypatch.setattr(pipeline.nets, "encode", overflowing)
    clip = torch.rand((2, 64, 64, 3), generator=torch.Generator().manual_seed(1))
    assert crafter(clip, steps=1).isfinite().all()
    assert types == [torch.float16, torch.float32, torch.float32]
