"""Archives are written whole or the writer says that the disk is full."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from ex4d_core.errors import EX4DError
from ex4d_core.storage import npz
from ex4d_core.storage.npz import NpzFrames, NpzWriter


def write(path, compressed=False):
    with NpzWriter(path, compressed=compressed) as archive:
        archive.begin("color", (3, 40, 50), np.uint8)
        for index in range(3):
            archive.write(np.full((40, 50), index, np.uint8))
        archive.array("mask", np.arange(6))


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_written_frame_by_frame_is_read_by_numpy_and_frame_by_frame(tmp_path, compressed):
    write(tmp_path / "a.npz", compressed)
    archive = np.load(tmp_path / "a.npz")
    assert (archive["color"] == np.arange(3)[:, None, None]).all() and archive["mask"].tolist() == [0, 1, 2, 3, 4, 5]
    with NpzFrames(tmp_path / "a.npz", ("color",)) as frames:
        assert [int(frame[0, 0]) for frame in frames.frames(1)] == [1, 2]


def test_an_array_is_packed_a_part_at_a_time(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(npz, "WRITTEN_BYTES", 1000)
    written = zipfile._ZipWriteFile.write
    monkeypatch.setattr(zipfile._ZipWriteFile, "write", lambda *it: sizes.append(len(it[1])) or written(*it))
    numbers = np.arange(900, dtype=np.float32).reshape(30, 30)[:, ::2]
    with NpzWriter(tmp_path / "a.npz") as archive:
        archive.array("numbers", numbers)
    assert max(sizes) == 1000 and (np.load(tmp_path / "a.npz")["numbers"] == numbers).all()


@pytest.mark.parametrize("missing", [1, 30, 3000])
def test_a_write_that_the_disk_takes_only_in_part_is_an_error(tmp_path, missing):
    resource = pytest.importorskip("resource")
    write(tmp_path / "whole.npz")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "whole.npz").stat().st_size - missing, before[1]))
    try:
        with pytest.raises(EX4DError, match="disk is full"):
            write(tmp_path / "cut.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_of_an_array_that_was_left_nothing_is_written_later(tmp_path):
    """By its finalizer, which from Python 3.13 on reports on the console that it cannot."""
    with pytest.raises(RuntimeError), NpzWriter(tmp_path / "left.npz") as archive:
        archive.begin("color", (3,), np.uint8)
        raise RuntimeError
    with pytest.raises(ValueError, match="closed file"):
        archive.write(np.zeros(3, np.uint8))


def read_all(path):
    with NpzFrames(path, ("color",)) as array:
        return list(array.frames())


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_anywhere_is_told_in_a_sentence_or_does_no_harm(tmp_path, compressed):
    write(tmp_path / "a.npz", compressed)
    whole, spoiled = (tmp_path / "a.npz").read_bytes(), tmp_path / "b.npz"
    told = 0
    generator = np.random.default_rng(0)
    places = [*range(200), *range(len(whole) - 400, len(whole)), *generator.integers(0, len(whole), 200)]
    for place in places:
        data = bytearray(whole)
        data[place] ^= 1 << generator.integers(8)
        spoiled.write_bytes(data)
        try:
            read_all(spoiled)
        except EX4DError:
            told += 1
    assert told > 100


def test_an_archive_made_for_another_unpacker_is_told(tmp_path):
    write(tmp_path / "a.npz")
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 200  # the version needed to unpack
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(EX4DError, match=r"not an \.npz file"):
        read_all(tmp_path / "a.npz")


def test_a_header_that_promises_more_than_there_is_is_told_before_it_is_read(tmp_path):
    write(tmp_path / "a.npz")
    data = (tmp_path / "a.npz").read_bytes()
    promised = data.replace(b"(3, 40, 50), ", b"(999, 40, 50)")
    assert promised != data
    (tmp_path / "a.npz").write_bytes(promised)
    with pytest.raises(EX4DError, match="cut off"):
        NpzFrames(tmp_path / "a.npz", ("color",))


def test_a_name_that_is_no_text_is_damage(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, depth=np.zeros((2, 3)))
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\1\2")
    data[entry + 9] |= 0x08  # "the name is UTF-8"
    data[entry + 46] = 0xEA
    path.write_bytes(data)
    with pytest.raises(EX4DError, match=r"is not an \.npz file"):
        NpzFrames(path, ("depth",))
