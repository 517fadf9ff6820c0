"""``python -m ex4d_core convert``: the same tensors in a safetensors file, or one sentence and no file."""

from __future__ import annotations

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ex4d_core.commands import cli
from ex4d_core.wan.checkpoint import BLOCK_MODULES, PRIOR_KEYS

DIM, FFN, HIDDEN, RANK = 8, 12, 6, 2


def adapter_state() -> dict[str, torch.Tensor]:
    """A complete adapter for a model of one block."""
    widths = dict.fromkeys(BLOCK_MODULES, (DIM, DIM)) | {"ffn.0": (DIM, FFN), "ffn.2": (FFN, DIM)}
    state = {}
    for module, (wide_in, wide_out) in widths.items():
        state[f"blocks.0.{module}.lora_A.default.weight"] = torch.randn(RANK, wide_in)
        state[f"blocks.0.{module}.lora_B.default.weight"] = torch.randn(wide_out, RANK)
    for key in PRIOR_KEYS:
        last, first = "patch" in key, key.startswith("latent_encoder.0")
        wide_out, wide_in = DIM if last else HIDDEN, 32 if first else HIDDEN
        shape = (wide_out, wide_in, 1, *((2, 2) if last else (1, 1)))
        state[key] = torch.randn(shape if key.endswith("weight") else shape[:1])
    return state


@pytest.fixture()
def source(tmp_path):
    path = tmp_path / "ex4d.ckpt"
    torch.save(adapter_state(), path)
    return path


def convert(*words) -> int:
    return cli.main(["convert", *map(str, words)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_tensor_arrives_unchanged(tmp_path, capsys, dtype):
    source, target = tmp_path / "ex4d.ckpt", tmp_path / "new folder" / "out.safetensors"
    state = {key: value.to(dtype) for key, value in adapter_state().items()}
    torch.save({"state_dict": state}, source)
    assert convert(source, target) == 0
    written = load_file(target)
    assert written.keys() == state.keys()
    assert all(written[key].dtype == dtype and torch.equal(written[key], state[key]) for key in state)
    assert [file.name for file in target.parent.iterdir()] == ["out.safetensors"]
    assert f"LoRA of rank {RANK} on 1 blocks, prior encoder {HIDDEN} -> {DIM}" in capsys.readouterr().out


def test_the_recorded_checkpoint_becomes_the_recorded_safetensors(tmp_path, reference):
    target = tmp_path / "out.safetensors"
    assert convert(reference / "adapter" / "ex4d_tiny_r16.ckpt", target) == 0
    written, expected = load_file(target), load_file(reference / "adapter" / "ex4d_tiny_r16.safetensors")
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[key], expected[key]) for key in expected)


def test_comfyui_names_and_one_half_are_taken_too(tmp_path):
    lora = {key: value for key, value in adapter_state().items() if "lora" in key}
    save_file({f"diffusion_model.{k.replace('.default', '')}": v for k, v in lora.items()}, tmp_path / "in.safetensors")
    assert convert(tmp_path / "in.safetensors", tmp_path / "out.safetensors") == 0
    assert load_file(tmp_path / "out.safetensors").keys() == lora.keys()


def test_a_file_may_replace_itself(tmp_path, source):
    target = tmp_path / "out.safetensors"
    assert convert(source, target) == 0
    before = target.read_bytes()
    assert convert(target, target) == 0
    assert target.read_bytes() == before


def damaged(kind: str, path):
    state = adapter_state()
    if kind == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "text":
        path.write_text("<html>not found</html>")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "incomplete":
        state.pop("blocks.0.self_attn.q.lora_A.default.weight")
        torch.save(state, path)
    elif kind == "foreign":
        torch.save({**state, "step": torch.ones(1)}, path)
    elif kind == "nan":
        state["latent_encoder.2.bias"][0] = float("nan")
        torch.save(state, path)
    elif kind == "missing":
        path.unlink()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut", "cannot be read"),
        ("text", "cannot be read"),
        ("empty", "cannot be read"),
        ("incomplete", "1 of 20 LoRA tensors are missing"),
        ("foreign", "1 of its 29 keys belong to none (step)"),
        ("nan", "not finite (latent_encoder.2.bias)"),
        ("missing", "There is no adapter file"),
    ],
)
def test_what_is_no_adapter_leaves_the_target_as_it_was(tmp_path, capsys, source, kind, words):
    damaged(kind, source)
    target = tmp_path / "out.safetensors"
    target.write_bytes(b"before")
    assert convert(source, target) == cli.BAD_INPUT
    message = capsys.readouterr().err
    assert message.startswith("error: ") and words in message and len(message.splitlines()) == 1
    assert target.read_bytes() == b"before"
    assert {file.name for file in tmp_path.iterdir()} <= {"ex4d.ckpt", "out.safetensors"}


@pytest.mark.parametrize("target", ["out.ckpt", "out", "folder.safetensors", "ex4d.ckpt/out.safetensors"])
def test_a_target_that_cannot_be_is_refused(tmp_path, capsys, source, target):
    (tmp_path / "folder.safetensors").mkdir()
    assert convert(source, tmp_path / target) == cli.BAD_INPUT
    assert capsys.readouterr().err.startswith("error: ")
    assert {file.name for file in tmp_path.iterdir()} == {"ex4d.ckpt", "folder.safetensors"}


@pytest.mark.parametrize("kind", ["interrupt", "refused", "disk full"])
def test_a_write_that_breaks_off_leaves_nothing(tmp_path, capsys, monkeypatch, source, kind):
    def broken(tensors, filename, metadata=None):
        with open(filename, "wb") as file:
            file.write(b"half")
        if kind == "interrupt":
            raise KeyboardInterrupt
        if kind == "refused":
            raise SafetensorError("I/O error: No space left on device")
        raise OSError(28, "No space left on device", filename)

    monkeypatch.setattr("safetensors.torch.save_file", broken)
    target = tmp_path / "new" / "out.safetensors"
    assert convert(source, target) == (cli.INTERRUPTED if kind == "interrupt" else cli.BAD_INPUT)
    assert "Traceback" not in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["ex4d.ckpt"]


def test_the_overview_lists_it(capsys):
    assert cli.main(["--help"]) == 0
    assert "convert" in capsys.readouterr().out
