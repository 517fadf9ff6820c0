"""Frame-by-frame reading of one (T, ...) array inside an .npz, so that a clip is never in memory twice."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from .errors import EX4DError


class NpzFrames:
    """A context manager over the first array found under one of ``keys``.

    Attributes:
        key: the name it was found under.
        shape, dtype: of the whole array.

    Raises:
        EX4DError: not an .npz, none of the keys in it, an array of objects, or (while reading) one that is cut off.
    """

    def __init__(self, path: str | Path, keys: tuple[str, ...]) -> None:
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except FileNotFoundError as error:
            raise EX4DError(f"There is no file '{path}'. Check the path.") from error
        except (OSError, zipfile.BadZipFile) as error:
            raise EX4DError(f"'{path}' is not an .npz file, or it is cut off ({error}).") from error
        names = [name.removesuffix(".npy") for name in self._zip.namelist()]
        found = [key for key in keys if key in names]
        if not found:
            self._zip.close()
            wanted = " or ".join(f"'{key}'" for key in keys)
            raise EX4DError(f"'{path}' needs an array {wanted}; it holds {', '.join(sorted(names)) or 'nothing'}.")
        self.key = found[0]
        try:
            with self._open() as stream:
                self.shape, self._fortran, self.dtype = _read_header(stream)
        except EX4DError:
            self._zip.close()
            raise
        if self.dtype.hasobject or self._fortran or self.dtype.kind not in "uifb" or not self.shape:
            self._zip.close()
            raise EX4DError(
                f"'{self.key}' in '{path}' must be a plain C-ordered array of numbers, got {self.dtype} {self.shape}."
            )

    def frames(self, first: int = 0) -> Iterator[np.ndarray]:
        """The array's items along its first axis, from ``first`` on."""
        size = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        with self._open() as stream:
            _read_header(stream)
            for index in range(self.shape[0]):
                try:
                    data = stream.read(size)
                except (OSError, zlib.error, zipfile.BadZipFile, EOFError) as error:
                    raise EX4DError(f"'{self.path}' is damaged: {error}.") from error
                if len(data) != size:
                    raise EX4DError(f"'{self.path}' is cut off after {index} of {self.shape[0]} frames.")
                if index >= first:
                    yield np.frombuffer(data, self.dtype).reshape(self.shape[1:])

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


def _read_header(stream) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(stream)
    except (ValueError, OSError, zlib.error, zipfile.BadZipFile, EOFError) as error:
        raise EX4DError(f"An array in '{getattr(stream, 'name', '.npz')}' cannot be read: {error}.") from error
