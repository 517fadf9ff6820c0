"""numba's compiler with a cache on disk that survives the package being imported under different names."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config as numba_config

# Its settings are attributes made at run time, which a type checker cannot see.
config: Any = numba_config

_setting = threading.Lock()


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """``numba.njit`` that keeps the machine code on disk, or in memory where no folder can be written.

    A cached function can only be loaded under the module name it was compiled for, and this package has several:
    ``ex4d_core`` on the command line, a path of the host's choosing inside ComfyUI. So each name has a folder.

    Args:
        function: what to compile; left out when used with options, as a decorator.
        options: as for ``numba.njit``, without ``cache``.
    """
    if function is None:
        return lambda later: njit(later, **options)
    # The setting is one for the process, so modules imported by two threads must take turns.
    with _setting:
        folder = _cache_folder()
        before = config.CACHE_DIR
        try:
            config.CACHE_DIR = str(folder or before)
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:
            return numba.njit(**options)(function)
        finally:
            config.CACHE_DIR = before


def _cache_folder() -> Path | None:
    """The folder for this import's name: the user's choice (NUMBA_CACHE_DIR), the pack's own, the user's cache folder."""
    name = hashlib.sha256(__name__.encode()).hexdigest()[:16]
    bases = [Path(config.CACHE_DIR)] if config.CACHE_DIR else []
    pack = Path(__file__).resolve().parents[2]
    if (pack / "pyproject.toml").is_file():  # not where pip has installed the package: nothing is written there
        bases.append(pack / ".cache" / "numba")
    for base in [*bases, user_cache() / "ex4d" / "numba"]:
        folder = base / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None


def user_cache() -> Path:
    """Where this system's programs keep what they can make again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
