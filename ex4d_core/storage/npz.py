"""Frame-by-frame reading and writing of (T, ...) arrays in .npz files, so that a clip is never in memory twice."""

from __future__ import annotations

import errno
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import EX4DError
from .staging import write_errors


class NpzFrames:
    """A context manager over the first array found under one of ``keys``.

    Args:
        path: the archive.
        keys: names to look for, in this order.
        any_order: also take an array in Fortran order, which only `whole` can read.

    Attributes:
        names: of all arrays in the archive.
        key: the name it was found under.
        shape, dtype: of the whole array.

    Raises:
        EX4DError: not an .npz, none of the keys in it, an array of objects, or (while reading) one that is cut off.
    """

    def __init__(self, path: str | Path, keys: tuple[str, ...], *, any_order: bool = False) -> None:
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except FileNotFoundError as error:
            raise EX4DError(f"There is no file '{path}'. Check the path.") from error
        except (OSError, zipfile.BadZipFile) as error:
            raise EX4DError(f"'{path}' is not an .npz file, or it is cut off ({error}).") from error
        self.names = names = tuple(name.removesuffix(".npy") for name in self._zip.namelist())
        found = [key for key in keys if key in names]
        if not found:
            self._zip.close()
            wanted = " or ".join(f"'{key}'" for key in keys)
            raise EX4DError(f"'{path}' needs an array {wanted}; it holds {', '.join(sorted(names)) or 'nothing'}.")
        self.key = found[0]
        try:
            with self._open() as stream:
                self.shape, self._fortran, self.dtype = _read_header(stream, self.path)
        except EX4DError:
            self._zip.close()
            raise
        if self.dtype.hasobject or self.dtype.kind not in "uifb" or not self.shape:
            self._zip.close()
            raise EX4DError(f"'{self.key}' in '{path}' must be an array of numbers, got {self.dtype} {self.shape}.")
        if self._fortran and not any_order:
            self._zip.close()
            raise EX4DError(
                f"'{self.key}' in '{path}' lies in memory column by column (Fortran order). Pass it through "
                "np.ascontiguousarray before saving."
            )

    def frames(self, first: int = 0) -> Iterator[np.ndarray]:
        """The array's items along its first axis, from ``first`` on."""
        size = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        with self._open() as stream:
            _read_header(stream, self.path)
            for index in range(self.shape[0]):
                try:
                    data = stream.read(size)
                except (OSError, zlib.error, zipfile.BadZipFile, EOFError) as error:
                    raise EX4DError(f"'{self.path}' is damaged: {error}.") from error
                if len(data) != size:
                    raise EX4DError(f"'{self.path}' is cut off after {index} of {self.shape[0]} frames.")
                if index >= first:
                    yield np.frombuffer(data, self.dtype).reshape(self.shape[1:])

    def whole(self) -> np.ndarray:
        """The array at once, in either order; for small ones."""
        with self._open() as stream:
            _read_header(stream, self.path)
            try:
                data = stream.read()
            except (OSError, zlib.error, zipfile.BadZipFile, EOFError) as error:
                raise EX4DError(f"'{self.path}' is damaged: {error}.") from error
        if len(data) != int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize:
            raise EX4DError(f"'{self.key}' in '{self.path}' is cut off.")
        return np.frombuffer(data, self.dtype).reshape(self.shape, order="F" if self._fortran else "C")

    def _open(self):
        try:
            name = self.key if self.key in self._zip.namelist() else f"{self.key}.npy"
            return self._zip.open(name)
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise EX4DError(f"'{self.path}' is damaged: {error}.") from error

    def __enter__(self) -> NpzFrames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()


def _read_header(stream: Any, path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(stream)
    except (ValueError, OSError, zlib.error, zipfile.BadZipFile, EOFError) as error:
        raise EX4DError(f"'{path}' is damaged: {error}.") from error


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
        # Unbuffered and the writer's own, so that a full disk is reported once and not again when objects are dropped.
        with write_errors(self.path):
            self._file = _WholeWrites(self.path, "wb")
            self._zip = zipfile.ZipFile(self._file, "w", self.compression, compresslevel=1)
        self._member: Any = None
        return self

    def begin(self, name: str, shape: tuple[int, ...], dtype: np.dtype | type) -> None:
        """Start an array; its items follow with `write`."""
        descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        with write_errors(self.path):
            self._end()
            self._member = self._zip.open(f"{name}.npy", "w", force_zip64=True)
            np.lib.format.write_array_header_1_0(self._member, header)

    def write(self, items: np.ndarray) -> None:
        """The next part of the array begun last."""
        with write_errors(self.path):
            self._member.write(np.ascontiguousarray(items).data)

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
            self._zip.fp = None
            self._file.close()
