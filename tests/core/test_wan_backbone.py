"""The numbers of Wan2.1 and the rules that follow from them, against the recorded model where it holds them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from safetensors.torch import load_file

from ex4d_core.errors import EX4DError
from ex4d_core.wan.backbone import PREFIXES, WAN21_I2V, ModelSize, backbone_of, model_size

TINY = ModelSize(dim=256, ffn_dim=512, blocks=2, in_channels=36)


@pytest.fixture(scope="module")
def shapes(request):
    """Names and shapes of the recorded model."""
    path = request.getfixturevalue("reference") / "adapter" / "dit_tiny.safetensors"
    return {name: tuple(tensor.shape) for name, tensor in load_file(path).items()}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_model_s_sizes_are_read_from_its_shapes_under_every_prefix(shapes, prefix):
    assert model_size({prefix + name: shape for name, shape in shapes.items()}) == TINY


def test_names_of_another_model_tell_no_sizes(shapes):
    assert model_size({f"unet.{name}": shape for name, shape in shapes.items()}) is None
    assert model_size({}) is None


def test_the_recorded_model_is_of_the_backbone(shapes):
    assert backbone_of(TINY) is WAN21_I2V
    assert shapes["patch_embedding.weight"][2:] == WAN21_I2V.patch
    assert shapes["text_embedding.0.weight"][1] == WAN21_I2V.text_width
    for module in WAN21_I2V.block_modules:
        assert f"blocks.0.{module}.weight" in shapes


def test_the_recorded_latents_have_the_backbone_s_shape(reference):
    inputs = load_file(reference / "adapter" / "inputs.safetensors")
    assert tuple(inputs["video_latent"].shape) == WAN21_I2V.latent_shape(9, 128, 192)
    assert inputs["y_mask"].shape[1] == WAN21_I2V.mask_channels
    assert inputs["y"].shape[1] + inputs["x"].shape[1] == WAN21_I2V.in_channels


@pytest.mark.parametrize("channels", [16, 32, 48])
def test_other_input_channels_are_of_no_backbone(channels):
    assert backbone_of(ModelSize(256, 512, 2, channels)) is None


@pytest.mark.parametrize(("frames", "latent"), [(1, 1), (5, 2), (49, 13), (81, 21)])
def test_a_clip_has_one_frame_and_then_four_a_latent_frame(frames, latent):
    assert WAN21_I2V.takes(frames)
    assert WAN21_I2V.latent_frames(frames) == latent
    assert WAN21_I2V.latent_shape(frames, 480, 832, batch=2) == (2, 16, latent, 60, 104)


@pytest.mark.parametrize(
    ("frames", "words"), [(0, "use 1 or 5"), (-3, "use 1 or 5"), (2, "use 1 or 5"), (50, "use 49 or 53")]
)
def test_other_counts_of_frames_are_refused_with_the_nearest(frames, words):
    with pytest.raises(EX4DError, match=words):
        WAN21_I2V.check_frames(frames)


def test_a_longer_clip_offers_the_largest_count_within_it():
    assert [WAN21_I2V.frames_within(count) for count in (1, 4, 5, 8, 52)] == [1, 1, 5, 5, 49]


@pytest.mark.parametrize(
    ("size", "words"), [((500, 512), "use 496x512"), ((8, 16), "use 16x16"), ((0, 16), "use 16x16")]
)
def test_sides_that_tokens_do_not_divide_are_refused_with_the_nearest(size, words):
    WAN21_I2V.check_size(832, 480)
    with pytest.raises(EX4DError, match=words):
        WAN21_I2V.check_size(*size)


@pytest.mark.parametrize("tile", [32, 72, 100, -256])
def test_tiles_that_do_not_overlap_in_whole_latents_are_refused(tile):
    for fine in (0, 64, 96, 256, 512):
        WAN21_I2V.check_tile(fine)
        assert fine // WAN21_I2V.tile_overlap % WAN21_I2V.space_stride == 0
    with pytest.raises(EX4DError, match="at least 64 pixels, in steps of 32"):
        WAN21_I2V.check_tile(tile)


def test_a_backbone_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        WAN21_I2V.latent_channels = 48
