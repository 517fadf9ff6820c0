"""Memory-saving paths of training on a CUDA card against the plain one; skipped where there is none."""

from __future__ import annotations

import pytest
import torch
from training_networks import gradients, small, small_inputs, stored

from ex4d_core.training.loop import be_deterministic
from ex4d_core.training.model import compile_blocks, place, to_float8
from ex4d_core.training.model.float8 import round_rows
from ex4d_core.training.model.kept import CHECKPOINTING

if not torch.cuda.is_available():
    pytest.skip("no CUDA card", allow_module_level=True)
CUDA = torch.device("cuda", 0)
KINDS = ("float32", "bfloat16", "float8")


@pytest.fixture(autouse=True)
def deterministic():
    """Attention's backward pass adds up in any order else."""
    be_deterministic()
    yield
    torch.use_deterministic_algorithms(False)


def network(kind: str, streamed: int = 0, blocks: int = 5):
    wan = stored(small(blocks=blocks), kind)
    place(wan, CUDA, streamed)
    return wan


def same(one, other):
    return torch.equal(one[0], other[0]) and all(torch.equal(one[1][name], other[1][name]) for name in one[1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_path_gives_the_same_bits_again_and_again(kind):
    wan = network(kind)
    plain = gradients(wan, "off", CUDA)
    for checkpointing in CHECKPOINTING[1:]:
        assert same(gradients(wan, checkpointing, CUDA), plain), checkpointing
    for streamed, checkpointing in ((2, "full"), (4, "offloaded"), (9, "offloaded")):
        ring = network(kind, streamed)
        for number in range(20):  # a copy that comes too late or too early shows now and then
            assert same(gradients(ring, checkpointing, CUDA), plain), (streamed, number)
        with torch.no_grad():
            assert torch.equal(ring(*small_inputs(CUDA)), plain[0])


def test_a_card_computes_what_the_processor_computes():
    """TF32 keeps ten bits of what convolutions take."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    wanted, got = gradients(small(), "off"), gradients(network("float32", blocks=2), "full", CUDA)
    torch.backends.cudnn.allow_tf32 = before
    assert torch.allclose(got[0].cpu(), wanted[0], rtol=1e-4, atol=1e-5)
    for name, value in wanted[1].items():
        assert float((got[1][name].cpu() - value).norm() / value.norm()) < 1e-4, name


def test_rows_are_rounded_to_the_same_eight_bits():
    weight = torch.randn(300, 700, generator=torch.Generator().manual_seed(3)).bfloat16()
    here, there = round_rows(weight), round_rows(weight.to(CUDA))
    assert torch.equal(here[0].view(torch.uint8), there[0].cpu().view(torch.uint8)) and torch.equal(
        here[1], there[1].cpu()
    )
    one, other = (stored(small(), "bfloat16") for _ in range(2))
    to_float8(one.blocks, torch.device("cpu"))
    to_float8(other.blocks, CUDA)
    pairs = zip(one.blocks.parameters(), other.blocks.parameters())
    assert all(torch.equal(a.view(torch.uint8), b.view(torch.uint8)) for a, b in pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_and_streamed_is_compiled(kind):
    """Weights change places under compiled blocks, which must not be compiled anew for it, nor keep an old place."""
    results, counts = [], []
    for streamed in (0, 9):
        torch.compiler.reset()
        torch._dynamo.utils.counters.clear()
        wan = network(kind, streamed)
        compile_blocks(wan)
        results.append([gradients(wan, "offloaded", CUDA) for _ in range(4)])
        counts.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert all(same(result, results[0][0]) for each in results for result in each)
    assert counts[1] <= counts[0] <= 2 * 3, counts  # with and without gradients


@pytest.mark.parametrize("kept", ["full", "attention", "projection"])
def test_compiled_blocks_keep_what_they_are_told(kept):
    """What is computed again is part of what is compiled; in float32 the fused sums are near those of the plain network."""
    torch.compiler.reset()
    wanted, wan = gradients(network("float32"), "off", CUDA), network("float32")
    compile_blocks(wan)
    results = [gradients(wan, kept, CUDA) for _ in range(3)]
    assert all(same(result, results[0]) for result in results)
    assert torch.allclose(results[0][0], wanted[0], rtol=1e-4, atol=1e-5)
    for name, value in wanted[1].items():
        assert float((results[0][1][name] - value).norm() / value.norm()) < 1e-4, name
    with torch.no_grad():
        assert torch.allclose(wan(*small_inputs(CUDA)), wanted[0], rtol=1e-4, atol=1e-5)
