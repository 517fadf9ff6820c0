"""Which renderer: the list of them, which can run here, and what "auto" takes.

A new one is a module ``<name>_backend`` with a ``BACKEND``, and its name in the list below.
"""

from __future__ import annotations

import importlib
from typing import Literal, get_args

import torch

from ..errors import EX4DError
from ..mesh import DWMesh
from .backend import Backend

BackendName = Literal["nvdiffrast", "triton", "numba", "torch"]
BACKENDS: tuple[BackendName, ...] = get_args(BackendName)
"""In the order of "auto", which takes the first that runs here and suits mesh and device."""

BackendChoice = Literal["auto"] | BackendName
BACKEND_CHOICES: tuple[BackendChoice, ...] = ("auto", *BACKENDS)


def backend_of(name: BackendName) -> Backend:
    """A renderer by its name."""
    return importlib.import_module(f".{name}_backend", __package__).BACKEND


def available_backends() -> tuple[BackendName, ...]:
    """The backends that can run on this machine."""
    return tuple(name for name in BACKENDS if backend_problem(name) is None)


def backend_problem(name: BackendName) -> str | None:
    """Why a backend cannot run on this machine, as the end of a sentence; None where it can."""
    return backend_of(name).problem()


def choose_backend(backend: str, mesh: DWMesh, device: torch.device | str | None) -> BackendName:
    """The backend that `render_color_mask` takes for these arguments.

    Args:
        backend: "auto" or one of `BACKENDS`.
        mesh: what is rendered.
        device: where to compute and leave the result; None = not asked for.

    Raises:
        EX4DError: a backend that is unknown or cannot run here.
    """
    if backend not in BACKEND_CHOICES:
        raise EX4DError(f"Unknown backend {backend!r}; choose one of: {', '.join(BACKEND_CHOICES)}.")
    available = available_backends()
    if backend == "auto":
        asked = None if device is None else torch.device(device)
        return next(name for name in available if backend_of(name).takes(mesh, asked))
    if backend not in available:
        raise EX4DError(
            f"The {backend} backend cannot run here: {backend_problem(backend)}. It needs {backend_of(backend).needs}; "
            f"here there are: {', '.join(available)}."
        )
    return backend


def compute_device(name: BackendName, mesh: DWMesh, device: torch.device | str | None) -> torch.device:
    """Where a backend computes.

    Args:
        name: the backend.
        mesh: what is rendered.
        device: the one asked for; None = where the backend runs best.

    Raises:
        EX4DError: a device that is not there, or on which the backend cannot compute.
    """
    asked = None if device is None else torch.device(device)
    if asked is not None and asked.type == "cuda" and not torch.cuda.is_available():
        raise EX4DError(f"Device {device} was asked for, but torch sees no CUDA device here; cpu always is.")
    return backend_of(name).device(mesh, asked)
