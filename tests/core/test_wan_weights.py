"""Files of weights that are cut, damaged or of another kind: one sentence, whatever the library at work raises."""

from __future__ import annotations

import random
import re

import pytest
import torch
from safetensors.torch import save_file

from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.wan.host.files import check_files
from ex4d_core.wan.weights import check_readable, read_tensors, reading, tensor_shapes

KINDS = {"archive": "w.ckpt", "old pickle": "old.pt", "safetensors": "w.safetensors"}
DAMAGES = 400


@pytest.fixture()
def files(tmp_path):
    """The same tensors in every kind of file."""
    state = {f"layer.{i}": torch.full((4, 4), float(i)) for i in range(6)}
    torch.save(state, tmp_path / KINDS["archive"])
    torch.save(state, tmp_path / KINDS["old pickle"], _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / KINDS["safetensors"])
    return {kind: tmp_path / name for kind, name in KINDS.items()}


def damaged(data: bytes, draw: random.Random) -> bytes:
    """Cut off somewhere, or with a few bytes of chance."""
    if draw.random() < 0.4:
        return data[: draw.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(draw.choice((1, 2, 8))):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read(files, kind):
    tensors = read_tensors(files[kind])
    assert [float(tensors[f"layer.{i}"][0, 0]) for i in range(6)] == [0, 1, 2, 3, 4, 5]
    check_readable(files[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_told_in_one_sentence_whatever_the_library_raises(files, kind):
    whole, draw, refused = files[kind].read_bytes(), random.Random(0), 0
    for _ in range(DAMAGES):
        files[kind].write_bytes(damaged(whole, draw))
        try:
            read_tensors(files[kind])
        except EX4DError as error:
            refused += 1
            assert "\n" not in str(error) and files[kind].name in str(error)
    assert refused > DAMAGES // 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_off_file_is_noticed_before_its_values_are_read(files, kind):
    whole = files[kind].read_bytes()
    files[kind].write_bytes(whole[: len(whole) // 2] if kind != "old pickle" else b"")
    with pytest.raises(EX4DError, match=r"cannot be read: .* fetch the file again"):
        check_readable(files[kind])


@pytest.mark.parametrize("name", ["page.ckpt", "page.safetensors"])
def test_a_web_page_in_place_of_a_file_is_noticed(tmp_path, name):
    (tmp_path / name).write_text("<html>404</html>")
    with pytest.raises(EX4DError, match=re.escape(name)):
        check_readable(tmp_path / name)
    with pytest.raises(EX4DError, match=re.escape(name)):
        read_tensors(tmp_path / name)


def test_shapes_come_from_the_header_alone(files):
    assert tensor_shapes(files["safetensors"]) == {f"layer.{i}": (4, 4) for i in range(6)}
    assert tensor_shapes(files["archive"]) == {}


@pytest.mark.parametrize("read", [read_tensors, tensor_shapes, check_readable])
def test_a_missing_file_and_a_folder_are_told(tmp_path, read):
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("missing.safetensors", "folder.safetensors"):
        with pytest.raises(EX4DError, match="There is no file of weights"):
            read(tmp_path / name)


def test_a_table_of_other_things_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1), "epoch": 3}, tmp_path / "mixed.ckpt")
    with pytest.raises(EX4DError, match="no plain table of tensors"):
        read_tensors(tmp_path / "mixed.ckpt")


@pytest.mark.parametrize(
    "error", [Cancelled(), MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory"), KeyboardInterrupt()]
)
def test_what_says_nothing_about_the_file_passes_through(files, error):
    with pytest.raises(type(error)) as raised, reading(files["archive"]):
        raise error
    assert raised.value is error


@pytest.mark.parametrize("which", ["dit", "vae", "text", "lora", "embeddings"])
def test_generate_refuses_a_cut_file_before_any_is_read(files, tmp_path, which):
    whole, cut = str(files["safetensors"]), tmp_path / "cut.safetensors"
    cut.write_bytes(files["safetensors"].read_bytes()[:-8])
    paths = dict.fromkeys(("dit", "vae", "adapter", "text", "vision"), whole)
    check_files(paths, [whole], whole)
    with pytest.raises(EX4DError, match=r"cut\.safetensors .* cannot be read"):
        check_files(
            paths | ({which: str(cut)} if which in paths else {}),
            [str(cut) if which == "lora" else whole],
            str(cut) if which == "embeddings" else None,
        )
