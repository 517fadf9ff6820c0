"""What a renderer states of itself; each module ``<name>_backend`` has one, called ``BACKEND``."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from ..mesh import DWMesh
from .view import Picture, Settings, View

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backend:
    """A renderer.

    Attributes:
        name: as users choose it.
        needs: what has to be there for it, as the end of a sentence.
        problem: why it cannot run on this machine, as the end of a sentence; None where it can.
        takes: whether "auto" may choose it for a mesh and the device asked for (None = not asked).
        device: where it computes for a mesh and the device asked for; raises EX4DError where it cannot.
        render: fills the picture's frames of the views.
    """

    name: str
    needs: str
    problem: Callable[[], str | None]
    takes: Callable[[DWMesh, torch.device | None], bool]
    device: Callable[[DWMesh, torch.device | None], torch.device]
    render: Callable[[DWMesh, list[View], Picture, Settings], None]


@cache
def load_problem(module: str) -> str | None:
    """Why an optional module is of no use here (nvdiffrast has to be built for this torch); None where it loads."""
    package = module.split(".")[0]
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    try:
        importlib.import_module(module)
    except Exception as error:
        log.warning("%s is installed but cannot be loaded, so it is left out: %s", package, error)
        return f"{package} is installed but cannot be loaded ({error})"
    return None
