"""numba's compiler with a cache on disk that survives the package being imported under different names."""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core import config as numba_config

# Its settings are attributes made at run time, which a type checker cannot see.
config: Any = numba_config

_setting = threading.Lock()


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """``numba.njit`` that keeps the machine code on disk, or in memory where no folder can be written.

    The code stays good as long as the function's file and the constants that it imports are the same, whatever the file's date:
    after an update of the package too. (numba by itself forgets the constants, and older ones go by the date.)

    A cached function can only be loaded under the module name it was compiled for, and this package has several:
    ``ex4d_core`` on the command line, a path of the host's choosing inside ComfyUI. So each name has a folder.

    Args:
        function: what to compile; left out when used with options, as a decorator.
        options: as for ``numba.njit``, without ``cache``.

    Raises:
        TypeError: a generator. One that comes out of the cache cannot be called by a function that is compiled anew, as
            after a first run that was ended in the midst of compiling (numba 0.6x: KeyError, in every run from then on).
    """
    if function is None:
        return lambda later: njit(later, **options)
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{function.__name__} is a generator, which numba's cache cannot keep; loop where it is used.")
    # The setting is one for the process, so modules imported by two threads must take turns.
    with _setting:
        folder = _cache_folder()
        if folder is None:  # left to itself, numba would write beside the source
            return numba.njit(**options)(function)
        before = config.CACHE_DIR
        try:
            config.CACHE_DIR = str(folder)
            return _stamped(numba.njit(cache=True, **options)(function), function)
        except RuntimeError:  # numba found the folder unusable
            return numba.njit(**options)(function)
        finally:
            config.CACHE_DIR = before


def _stamped(compiled: Any, function: Callable[..., Any]) -> Any:
    """The compiled function, whose cache goes by what it is made from; as it is where this numba keeps its cache otherwise."""
    index: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if hasattr(index, "_source_stamp"):
        constants = {
            name: value
            for name, value in function.__globals__.items()
            if isinstance(value, (int, float, tuple)) and not name.startswith("__")
        }
        digest = hashlib.sha256(Path(function.__code__.co_filename).read_bytes())
        digest.update(repr(sorted(constants.items())).encode())
        index._source_stamp = digest.hexdigest()
    return compiled


def _cache_folder() -> Path | None:
    """The folder for this import's name: the first that can be written; None where none can."""
    name = hashlib.sha256(__name__.encode()).hexdigest()[:16]
    for base in _cache_bases():
        folder = base / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None


def _cache_bases() -> Iterator[Path]:
    """The user's choice (NUMBA_CACHE_DIR), then the pack's own folder, then the user's cache folder."""
    if config.CACHE_DIR:
        yield Path(config.CACHE_DIR)
    pack = Path(__file__).resolve().parents[2]
    if is_pack(pack):
        yield pack / ".cache" / "numba"
    with suppress(RuntimeError):  # a user without a home folder, as in some containers
        yield user_cache() / "ex4d" / "numba"


def is_pack(folder: Path) -> bool:
    """Whether a folder is ComfyUI-EX4D itself, and not where pip has put the package: nothing is written there."""
    if {"site-packages", "dist-packages"} & set(folder.parts):
        return False
    try:
        return "WEB_DIRECTORY" in (folder / "__init__.py").read_text(encoding="utf-8")
    except OSError:
        return False


def user_cache() -> Path:
    """Where this system's programs keep what they can make again.

    Raises:
        RuntimeError: the user has no home folder.
    """
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
