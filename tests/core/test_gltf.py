"""glTF's container: arrays there and back."""

from __future__ import annotations

import numpy as np
import pytest

from ex4d_core.errors import EX4DError
from ex4d_core.storage.gltf import Buffers, Packer, complete_file, glb_bytes, gltf_bytes, parse


@pytest.fixture()
def packed():
    """Numbers of three sizes, each of which must begin at a multiple of its own."""
    arrays = {
        "colours": np.array([[0, 128, 255], [3, 4, 5], [255, 0, 1]], np.uint8),
        "corners": np.array([[0], [70000], [2]], np.uint32),
        "short": np.array([[7]], np.uint16),
        "positions": np.array([[0.5, -1, 2], [1e9, 0, -1e-9]], np.float32),
    }
    packer = Packer()
    kinds = {"colours": "VEC3", "corners": "SCALAR", "short": "SCALAR", "positions": "VEC3"}
    numbers = {name: packer.add(values, kinds[name]) for name, values in arrays.items()}
    return arrays, numbers, {"asset": {"version": "2.0"}, **packer.described()}, packer.binary


@pytest.mark.parametrize("written", [gltf_bytes, glb_bytes])
def test_arrays_come_back_as_they_were(packed, written, tmp_path):
    arrays, numbers, document, binary = packed
    again, chunk = parse(written(document, binary))
    assert (chunk is None) == (written is gltf_bytes)
    buffers = Buffers(again, chunk, tmp_path)
    for name, values in arrays.items():
        np.testing.assert_array_equal(buffers.accessor(numbers[name]), values.astype(np.float64))
        accessor = again["accessors"][numbers[name]]
        assert accessor["min"] == values.min(0).tolist() and accessor["max"] == values.max(0).tolist()


def test_every_array_begins_where_its_numbers_may(packed):
    _, _, document, binary = packed
    assert all(view["byteOffset"] % 4 == 0 for view in document["bufferViews"])
    assert document["buffers"] == [{"byteLength": len(binary)}]


def test_the_parts_of_a_binary_file_are_multiples_of_four_bytes(packed):
    _, _, document, binary = packed
    data = glb_bytes(document, binary[:-3])
    assert len(data) % 4 == 0 and int.from_bytes(data[8:12], "little") == len(data)


def test_normalised_integers_become_shares(packed, tmp_path):
    _, numbers, document, binary = packed
    document["accessors"][numbers["colours"]]["normalized"] = True
    shares = Buffers(document, binary, tmp_path).accessor(numbers["colours"])
    np.testing.assert_allclose(shares[0], [0, 128 / 255, 1])


@pytest.mark.parametrize("data", [b"", b"glTF", b"[1]", b"{}", b'{"asset": 3}', b"\xff\xfe"])
def test_what_is_no_gltf_is_refused_in_a_sentence(data):
    with pytest.raises(EX4DError):
        parse(data)


def test_an_index_that_leads_nowhere_is_an_incomplete_file(packed, tmp_path):
    _, _, document, binary = packed
    with pytest.raises(EX4DError, match="not a complete glTF"), complete_file():
        Buffers(document, binary, tmp_path).accessor(99)
