"""AMT-S, the network of VBench's motion smoothness: the published layout with drawn numbers, against the published code's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ex4d_core.evaluation.weighted import amt, judged, networks

# The authors' network with the weights and frames below (MCG-NKU/AMT, networks/AMT-S.py; torch 2.11): 24 colours of
# the frame amid 0 and 2, and VBench's arithmetic over both frames.
PLACES = np.random.default_rng(13).integers(0, 3 * 128 * 144, 24)
COLOURS = [
    *(
        0.761986,
        0.383627,
        0.755587,
        0.661038,
        0.601921,
        0.685429,
        0.679868,
        0.76368,
        0.209709,
        0.532865,
        0.725986,
        0.467702,
    ),
    *(0.488908, 0.0, 0.534814, 0.488133, 0.868079, 0.198445, 0.615403, 0.662632, 0.795999, 0.444958, 0.0, 0.523019),
]
SCORE = 0.7502481475807916


def layout() -> dict[str, tuple[int, ...]]:
    """Shapes of the published file's tensors by name, 2,990,543 numbers."""
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(name: str, out: int, into: int, side: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, into, side, side), (out,)

    def unit(name: str, out: int, into: int) -> None:
        layer(f"{name}.0", out, into, 3)
        shapes[f"{name}.1.weight"] = (out,)

    layer("feat_encoder.conv1", 32, 3, 7)
    into = 32
    for number, out in ((1, 32), (2, 64), (3, 96)):
        for block in (0, 1):
            name = f"feat_encoder.layer{number}.{block}"
            layer(f"{name}.conv1", out // 4, into, 1)
            layer(f"{name}.conv2", out // 4, out // 4, 3)
            layer(f"{name}.conv3", out, out // 4, 1)
            if number > 1 and block == 0:
                layer(f"{name}.downsample.0", out, into, 1)
            into = out
    layer("feat_encoder.conv2", 84, 96, 1)
    widths = (20, 32, 44, 56)
    for number, (out, into) in enumerate(zip(widths, (3, *widths), strict=False), 1):
        unit(f"encoder.pyramid{number}.0", out, into)
        unit(f"encoder.pyramid{number}.1", out, out)
    for number, wide, into, out in ((4, 112, 113, 48), (3, 132, 136, 36), (2, 96, 100, 24), (1, 60, 64, 24)):
        name = f"decoder{number}.convblock"
        unit(f"{name}.0", wide, into)
        for part, channels in ((1, wide), (2, 20), (3, wide), (4, 20)):
            unit(f"{name}.1.conv{part}", channels, channels)
        layer(f"{name}.1.conv5", wide, wide, 3)
        shapes[f"{name}.1.prelu.weight"] = (wide,)
        shapes[f"{name}.2.weight"], shapes[f"{name}.2.bias"] = (wide, out, 4, 4), (out,)
    for number, width in ((4, 44), (3, 32), (2, 20)):
        name = f"update{number}"
        for part, out, into, side in (
            *(("convc1", 64, 2 * 4 * 49, 1), ("convf1", 40, 4, 7), ("convf2", 20, 40, 3), ("conv", 68, 84, 3)),
            *(("gru.0", 76, 68 + 4 + width, 3), ("gru.2", 76, 76, 3), ("feat_head.0", 76, 76, 3)),
            *(("feat_head.2", width, 76, 3), ("flow_head.0", 76, 76, 3), ("flow_head.2", 4, 76, 3)),
        ):
            layer(f"{name}.{part}", out, into, side)
    layer("comb_block.0", 18, 9, 3)
    shapes["comb_block.1.weight"] = (18,)
    layer("comb_block.2", 3, 18, 3)
    return shapes


def drawn() -> dict[str, torch.Tensor]:
    """The layout with seeded numbers; in the order of names, as they were drawn for the recording."""
    rng, state = np.random.default_rng(11), {}
    for name, shape in sorted(layout().items()):
        values = rng.standard_normal(shape)
        if len(shape) > 1:
            values = values / np.sqrt(np.prod(shape[1:])) * 0.8
        else:
            values = 0.25 + 0.05 * values if name.endswith("weight") else 0.05 * values
        state[name] = torch.from_numpy(values).float()
    return state


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights")
    torch.save({"state_dict": drawn()}, path / judged.AMT)
    return path


def frames() -> torch.Tensor:
    """(5, 128, 144, 3) uint8."""
    coarse = torch.from_numpy(np.random.default_rng(12).integers(0, 256, (5, 8, 9, 3), dtype=np.uint8))
    return (
        F.interpolate(coarse.permute(0, 3, 1, 2).float(), (128, 144), mode="bilinear")
        .round()
        .byte()
        .permute(0, 2, 3, 1)
    )


def test_the_layout_is_that_of_three_million_numbers():
    assert len(layout()) == 213 and sum(math.prod(shape) for shape in layout().values()) == 2_990_543


def test_frames_amid_two_and_the_score_are_the_published_codes(folder):
    pictures = networks.planes(frames())
    with torch.inference_mode():
        found = amt.between(drawn(), pictures[:1], pictures[2:3])
    assert found.shape == (1, 3, 128, 144)
    assert found.flatten()[PLACES].tolist() == pytest.approx(COLOURS, abs=1e-4)
    said = judged.judge(frames(), None, folder)
    assert said.values["vbench_smoothness"] == pytest.approx(SCORE, abs=1e-4)
    assert "(unverified file) amt-s.pth" in said.notes["vbench_smoothness"]


def test_sides_are_padded_to_whole_steps_and_cut_again(folder):
    state, pictures = drawn(), networks.planes(frames())[[0, 2]]
    odd = pictures[..., :-5]  # 139 pixels wide: two to the left, three to the right
    with torch.inference_mode():
        found = amt.between(state, odd[:1], odd[1:])
        padded = F.pad(odd, (2, 3, 0, 0), mode="replicate")
        whole = amt.between(state, padded[:1], padded[1:])
    assert torch.equal(found, whole[..., 2:-3])


def test_what_the_row_lacks_is_told(folder, tmp_path):
    assert "sides of 128 pixels" in judged.judge(frames()[:, :96], None, folder).reasons["vbench_smoothness"]
    assert judged.judge(frames()[:2], None, folder).reasons["vbench_smoothness"] == "needs three frames"
    for held in ({"state_dict": {}}, {"other": torch.zeros(1)}):
        torch.save(held, tmp_path / judged.AMT)
        judged._network.cache_clear()
        assert "amt-s.pth could not be used" in judged.judge(frames(), None, tmp_path).reasons["vbench_smoothness"]
