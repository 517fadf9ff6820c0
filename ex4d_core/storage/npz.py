"""Frame-by-frame reading and writing of (T, ...) arrays in .npz files, so that a clip is never in memory twice."""

from __future__ import annotations

import errno
import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np

from ..errors import EX4DError
from .staging import write_errors


class NpzFrames:
    """A context manager over the first array found under one of ``keys``.

    Args:
        path: the archive.
        keys: names to look for, in this order.
        any_order: also take an array in Fortran order, or a single number, which only `whole` can read.
        wanted: how the error calls what is looked for; None = by all keys.

    Attributes:
        names: of all arrays in the archive.
        key: the name it was found under.
        shape, dtype: of the whole array.

    Raises:
        EX4DError: not an .npz, none of the keys in it, an array of objects, or (while reading) one that is cut off.
    """

    def __init__(
        self, path: str | Path, keys: tuple[str, ...], *, any_order: bool = False, wanted: str | None = None
    ) -> None:
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except FileNotFoundError as error:
            raise EX4DError(f"There is no file '{path}'. Check the path.") from error
        except MemoryError:
            raise
        except (
            Exception
        ) as error:  # of damage in its table zipfile raises a dozen classes, UnicodeDecodeError among them
            raise EX4DError(f"'{path}' is not an .npz file, or it is cut off ({error}).") from error
        try:
            self.names = tuple(name.removesuffix(".npy") for name in self._zip.namelist())
            self.key = self._first_of(keys, wanted)
            with self._open() as stream:
                self.shape, self._fortran, self.dtype = self._read_header(stream)
                if self.dtype.hasobject or self.dtype.kind not in "uifb" or not (self.shape or any_order):
                    raise EX4DError(
                        f"'{self.key}' in '{path}' must be an array of numbers, got {self.dtype} {self.shape}."
                    )
                # Checked before reading, since callers allocate memory for the shape that the header states.
                if stream.tell() + self._bytes(self.shape) != self._zip.getinfo(stream.name).file_size:
                    raise EX4DError(f"'{self.key}' in '{path}' is cut off: it holds less or more than {self.shape}.")
            if self._fortran and not any_order:
                raise EX4DError(
                    f"'{self.key}' in '{path}' lies in memory column by column (Fortran order). Pass it through "
                    "np.ascontiguousarray before saving."
                )
        except BaseException:
            self._zip.close()
            raise

    def _first_of(self, keys: tuple[str, ...], wanted: str | None) -> str:
        for key in keys:
            if key in self.names:
                return key
        wanted = wanted or " or ".join(f"'{key}'" for key in keys)
        raise EX4DError(
            f"'{self.path}' needs an array {wanted}; it holds {', '.join(sorted(self.names)) or 'nothing'}."
        )

    def frames(self, first: int = 0) -> Iterator[np.ndarray]:
        """The array's items along its first axis, from ``first`` on."""
        size = self._bytes(self.shape[1:])
        with self._open() as stream:
            self._read_header(stream)
            for index in range(self.shape[0]):
                with self._damage_told():
                    data = stream.read(size)
                if len(data) != size:
                    raise EX4DError(f"'{self.path}' is cut off after {index} of {self.shape[0]} frames.")
                if index >= first:
                    yield np.frombuffer(data, self.dtype).reshape(self.shape[1:])

    def whole(self) -> np.ndarray:
        """The array at once, in either order; for small ones."""
        with self._open() as stream:
            self._read_header(stream)
            with self._damage_told():
                data = stream.read()
        if len(data) != self._bytes(self.shape):
            raise EX4DError(f"'{self.key}' in '{self.path}' is cut off.")
        return np.frombuffer(data, self.dtype).reshape(self.shape, order="F" if self._fortran else "C")

    def _bytes(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape) * self.dtype.itemsize

    def _open(self) -> zipfile.ZipExtFile:
        with self._damage_told():
            name = self.key if self.key in self._zip.namelist() else f"{self.key}.npy"
            return cast(zipfile.ZipExtFile, self._zip.open(name))

    def _read_header(self, stream: zipfile.ZipExtFile) -> tuple[tuple[int, ...], bool, np.dtype]:
        with self._damage_told():
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            return read(stream)

    @contextmanager
    def _damage_told(self) -> Iterator[None]:
        """For calls that do nothing but read; what zipfile, its decompressors and numpy raise there differs widely."""
        try:
            yield
        except (EX4DError, MemoryError):
            raise
        except Exception as error:
            raise EX4DError(f"'{self.path}' is damaged: {error}.") from error

    def __enter__(self) -> NpzFrames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()


def arrays_in(path: str | Path, *names: str, optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Arrays of numbers by their names, each whole in memory.

    Args:
        path: the archive.
        names: of the arrays.
        optional: of others, which are given where they are there.

    Raises:
        EX4DError: no such file, no .npz, a damaged one, a name that is not there, or something else than numbers.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in (*names, *(other for other in optional if other in archive))}
    except FileNotFoundError as error:
        raise EX4DError(f"There is no file '{path}'. Check the path.") from error
    except Exception as error:  # of damage numpy, zipfile and its decompressors raise a dozen classes
        raise EX4DError(f"'{path}' is no readable .npz with {', '.join(names)} ({error!s:.80}).") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "uifb":
            raise EX4DError(f"'{name}' in '{path}' must be an array of numbers, got {array.dtype}.")
    return arrays


def number_in(path: str | Path, names: tuple[str, ...], name: str) -> float | None:
    """One number in an .npz; None where it is not there.

    Args:
        path: the archive.
        names: of its arrays.
        name: the number's.

    Raises:
        EX4DError: an array of none or of several.
    """
    if name not in names:
        return None
    with NpzFrames(path, (name,), any_order=True) as file:
        values = file.whole().reshape(-1) if math.prod(file.shape) == 1 else np.zeros(0)
    if len(values) != 1:
        raise EX4DError(f"'{name}' in '{path}' must be one number.")
    return float(values[0])


class NpyFrames:
    """A context manager over the array of an .npy, of either order; read as it is asked for.

    Args:
        path: the file.

    Attributes:
        key: what messages call the array.
        shape, dtype: of the whole array.

    Raises:
        EX4DError: not an .npy, cut off, or no array of numbers.
    """

    key = "the array"

    def __init__(self, path: str | Path) -> None:
        try:
            self._array = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # what numpy raises for damage differs widely
            raise EX4DError(f"'{path}' is not an .npy file of numbers, or it is cut off ({error!s:.80}).") from error
        if not isinstance(self._array, np.ndarray) or self._array.dtype.kind not in "uifb" or not self._array.shape:
            raise EX4DError(f"'{path}' must hold an array of numbers.")
        self.shape, self.dtype = self._array.shape, self._array.dtype

    def frames(self, first: int = 0) -> Iterator[np.ndarray]:
        """The array's items along its first axis, from ``first`` on."""
        yield from self._array[first:]

    def whole(self) -> np.ndarray:
        """The array at once, in memory."""
        return np.array(self._array)

    def __enter__(self) -> NpyFrames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._array


WRITTEN_BYTES = 2**24


class _WholeWrites(io.FileIO):
    """A file whose writes are whole or fail: the system may take less than it is given, and zipfile never looks."""

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            written = super().write(view[done:])
            if not written:
                raise OSError(errno.ENOSPC, "No space left on device", self.name)
            done += written
        return done


class NpzWriter:
    """A context manager that writes arrays piece by piece; an error passes through and leaves a file to be removed.

    Args:
        path: target.
        compressed: deflate at its fastest.

    Raises:
        EX4DError: the disk is full or the folder cannot be written.
    """

    def __init__(self, path: str | Path, *, compressed: bool = True) -> None:
        self.path = Path(path)
        self.compression = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED

    def __enter__(self) -> NpzWriter:
        # Unbuffered: a buffer would be flushed again when it is garbage collected, and report a full disk twice.
        with write_errors(self.path):
            self._file = _WholeWrites(self.path, "wb")
            self._zip = zipfile.ZipFile(self._file, "w", self.compression, compresslevel=1)
        self._member: io.BufferedIOBase | None = None
        return self

    def begin(self, name: str, shape: tuple[int, ...], dtype: np.dtype | type) -> None:
        """Start an array; its items follow with `write`."""
        descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        with write_errors(self.path):
            self._end()
            self._member = cast(io.BufferedIOBase, self._zip.open(f"{name}.npy", "w", force_zip64=True))
            np.lib.format.write_array_header_1_0(self._member, header)

    def write(self, items: np.ndarray) -> None:
        """The next part of the array begun last."""
        assert self._member is not None, "begin comes first"
        view = np.ascontiguousarray(items).reshape(-1).view(np.uint8).data
        with write_errors(self.path):
            # What is compressed of one write is in memory at once.
            for first in range(0, len(view), WRITTEN_BYTES):
                self._member.write(view[first : first + WRITTEN_BYTES])

    def array(self, name: str, array: np.ndarray) -> None:
        """A whole array."""
        self.begin(name, array.shape, array.dtype)
        if array.size:
            self.write(array)

    def _end(self) -> None:
        if self._member is not None:
            self._member.close()
            self._member = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with write_errors(self.path):
                    self._end()
                    self._zip.close()
        finally:
            if self._member is not None:
                # Its own close would write what is left of it, and so would its finalizer, which from Python 3.13 on
                # reports on the console that it cannot.
                io.BufferedIOBase.close(self._member)
            self._zip.fp = None
            self._file.close()
