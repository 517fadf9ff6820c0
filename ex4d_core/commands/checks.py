"""Flags that several commands share, refused before any work."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import EX4DError

DEVICES = ("cpu", "cuda", "mps")


def one_of(flag: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a value that is not among the choices."""
    choices = tuple(choices)
    if value not in choices:
        raise EX4DError(f"{flag} must be one of {', '.join(choices)}, got '{value}'.")


def check_backend(backend: str, device: str | None) -> None:
    """Refuse a renderer that cannot run here, a device that is not there, or a pair that does not fit.

    Args:
        backend: value of --backend.
        device: value of --device; None where it was not given.
    """
    import torch

    from ..render import BACKENDS, available_backends

    one_of("--backend", backend, ("auto", *BACKENDS))
    if backend != "auto" and backend not in available_backends():
        raise EX4DError(f"--backend {backend} cannot run here; there are: {', '.join(available_backends())}.")
    if device is None:
        return
    try:
        kind = torch.device(device).type
        if kind in DEVICES:
            torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EX4DError(f"--device {device} is not there on this machine. Use cpu.") from error
    if kind not in DEVICES:
        raise EX4DError(f"--device must be cpu, cuda (cuda:1 ...) or mps, got {device}.")
    if backend == "nvdiffrast" and kind != "cuda":
        raise EX4DError(f"--backend nvdiffrast renders on CUDA, not on {device}. Use --backend auto.")
