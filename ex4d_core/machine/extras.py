"""Packages that only some of the work needs: imported on first use, and named in one sentence where they are missing."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from ..errors import EX4DError

EXTRAS: dict[str, tuple[str, ...]] = {
    "torch": ("torch>=2.1",),
    "numba": ("numba>=0.59",),
    "depthcrafter": ("diffusers>=0.31", "transformers>=4.46"),
    "exr": ("OpenEXR>=3.3",),
    "tracking": ("opencv-python-headless>=4.8",),
    "usd": ("usd-core>=24.8",),
    "meshes": ("fast-simplification>=0.1.9", "xatlas>=0.0.9"),
}
"""What each extra installs. A copy of pyproject.toml, which a pack in ComfyUI is run without; a test compares the two."""

MODULES = {
    "torch": ("PyTorch", "torch"),
    "numba": ("numba", "numba"),
    "diffusers": ("diffusers", "depthcrafter"),
    "transformers": ("transformers", "depthcrafter"),
    "OpenEXR": ("OpenEXR", "exr"),
    "cv2": ("OpenCV", "tracking"),
    "pxr": ("usd-core", "usd"),
    "fast_simplification": ("fast-simplification", "meshes"),
    "xatlas": ("xatlas", "meshes"),
}
"""By what is imported: the package's name for people, and the extra that brings it."""


def load(module: str, what: str) -> ModuleType:
    """An optional module.

    Args:
        module: one of ``MODULES``.
        what: what needs it, as the sentence's subject in the singular.

    Raises:
        EX4DError: it is not installed, or it does not load here.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:  # a broken numba raises anything
        raise EX4DError(missing(module, what, error)) from error


def has(module: str) -> bool:
    """Whether an optional module is installed, without the cost of importing it."""
    return importlib.util.find_spec(module) is not None


def check(module: str, what: str) -> None:
    """Refuse to begin where an optional package is not installed, without the cost of importing it.

    Args:
        module: one of ``MODULES``.
        what: what needs it, as the sentence's subject in the singular.

    Raises:
        EX4DError: it is not installed.
    """
    if not has(module):
        raise EX4DError(missing(module, what))


def missing(module: str, what: str, error: Exception | None = None) -> str:
    """The sentence for a module that could not be imported: what needs it, why it is not there, and the command.

    Args:
        module: one of ``MODULES``.
        what: what needs it, as the sentence's subject in the singular.
        error: what the import raised; None where the package is known not to be installed.
    """
    title, extra = MODULES[module]
    if error is None or (isinstance(error, ModuleNotFoundError) and error.name == module):
        why = "is not installed"
    else:
        why = f"cannot be loaded ({next(reversed(str(error).strip().splitlines()), type(error).__name__)})"
    return f'{what} needs {title}, which {why}. Run: {command(extra)} (the extra "{extra}").'


def command(extra: str) -> str:
    """The pip command that installs an extra's packages; what has a version is quoted, for the shell's sake."""
    return " ".join(["pip install", *(f'"{name}"' if ">" in name else name for name in EXTRAS[extra])])
