"""Every published layout of Wan's weights is told by its names and channels, with or without a prefix."""

from __future__ import annotations

import pytest
from harness.wan import LAYOUTS, layout
from safetensors.torch import load_file, save_file

from ex4d_core.errors import EX4DError
from ex4d_core.wan.backbone import PREFIXES, WAN21_I2V
from ex4d_core.wan.checkpoint import load_adapter
from ex4d_core.wan.host.generate import check_model_file
from ex4d_core.wan.models import MODELS, check_known, identify, identify_file

I2V = {"img_emb.proj.0.bias", "blocks.0.cross_attn.k_img.weight"}


@pytest.fixture(scope="module")
def shapes(request):
    """Name -> name and shape of the tiny model's weights in each layout."""
    state = load_file(request.getfixturevalue("reference") / "adapter" / "dit_tiny.safetensors")
    return {name: {key: tuple(value.shape) for key, value in layout(state, name).items()} for name in LAYOUTS}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_file_is_named_as_its_maker_names_it(shapes, name, prefix):
    model = identify_file({prefix + key: shape for key, shape in shapes[name].items()})
    assert model is not None and model.name.startswith(name.removesuffix(" 1.1"))


@pytest.mark.parametrize(
    ("names", "channels", "latent", "name"),
    [
        ({"casual_audio_encoder.encoder.final_linear.weight"}, 16, 16, "Wan2.2 S2V 14B"),
        ({"audio_proj.audio_proj_glob_1.layer.bias", *I2V}, 36, 16, "HuMo"),
        ({"face_adapter.fuser_blocks.0.k_norm.weight", *I2V}, 36, 16, "Wan2.2 Animate 14B"),
        ({"patch_embedding_mask.weight", "patch_embedding_pose.weight", *I2V}, 20, 16, "SCAIL-2"),
        ({"patch_embedding_pose.weight", *I2V}, 20, 16, "SCAIL"),
        ({"patch_embedding_global.weight", *I2V}, 36, 16, "WanDancer"),
        ({"ref_conv.weight"}, 148, 48, "Wan2.2 Fun 5B Control"),
        ({"blocks.0.ffn.0.weight"}, 100, 48, "Wan2.2 Fun 5B InP"),
    ],
)
def test_models_with_parts_of_their_own_are_named_by_those(names, channels, latent, name):
    model = identify(names, channels, latent)
    assert model is not None and model.name == name and model.use == "refused"


def test_the_adapter_s_own_model_has_no_note_and_those_it_fits_have_one(shapes):
    used = {name: identify_file(shapes[name]) for name in LAYOUTS}
    assert {name for name, model in used.items() if model and model.use == "trained"} == {"Wan2.1 I2V"}
    fits = {name: model for name, model in used.items() if model and model.use == "untrained"}
    assert fits.keys() == {"Wan2.1 FLF2V", "Wan2.1 Fun InP"}
    for model in fits.values():
        check_known(model)
        assert model.note and model.name in model.note and WAN21_I2V.name in model.note
    own = used["Wan2.1 I2V"]
    check_known(own)
    assert own is not None and own.note is None and own.name == WAN21_I2V.name


@pytest.mark.parametrize("model", [model for model in MODELS if model.use == "refused"], ids=lambda model: model.name)
def test_other_models_are_refused_by_name(model):
    with pytest.raises(EX4DError, match=f"MODEL is {model.name}; EX-4D needs Wan2.1 I2V 14B"):
        check_known(model)


def test_what_is_not_known_is_left_to_its_sizes(shapes):
    assert identify({"img_emb.proj.0.bias"}, 24, 16) is None
    assert identify_file({f"unet.{key}": shape for key, shape in shapes["Wan2.1 I2V"].items()}) is None
    check_known(None)


@pytest.fixture(scope="module")
def adapter(request):
    return load_adapter(request.getfixturevalue("reference") / "adapter" / "ex4d_tiny_r16.ckpt")


@pytest.mark.parametrize("name", LAYOUTS)
def test_generate_refuses_or_notes_a_file_by_its_header(reference, adapter, tmp_path, name):
    path = tmp_path / "model.safetensors"
    save_file(layout(load_file(reference / "adapter" / "dit_tiny.safetensors"), name), path)
    if name == "Wan2.1 I2V":
        assert check_model_file(str(path), adapter) == ()
    elif name in ("Wan2.1 FLF2V", "Wan2.1 Fun InP"):
        (note,) = check_model_file(str(path), adapter)
        assert note.startswith(f"MODEL is {name}")
    else:
        with pytest.raises(EX4DError, match=f"MODEL is {name.removesuffix(' 1.1')}"):
            check_model_file(str(path), adapter)
