"""Files of weights: all tensors of one, or only their names and shapes. What cannot be read is one sentence."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from ..errors import Cancelled, EX4DError
from ..machine.memory import out_of_memory

SAFETENSORS = (".safetensors", ".sft")
PICKLE_PROTOCOL = b"\x80"


def read_tensors(path: str | os.PathLike[str], *, bare: str | None = None) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU. Pickles are read with weights_only, so they cannot run code.

    Args:
        path: of the file.
        bare: the name to give to a tensor that is all of a file, without a table around it; None refuses such a file.

    Raises:
        EX4DError: a file that is missing, cut off or damaged, or holds anything but a table of tensors.
    """
    path = Path(path)
    with reading(path):
        if path.suffix in SAFETENSORS:
            from safetensors.torch import load_file

            state = load_file(str(path))
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if bare is not None and isinstance(state, Tensor):
        state = {bare: state}
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise EX4DError(f"{path.name} holds no plain table of tensors.")
    return {str(name): tensor.detach() for name, tensor in state.items()}


def tensor_shapes(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of a safetensors file's tensors, from its header alone; nothing for files of other kinds.

    Raises:
        EX4DError: a safetensors file that is missing, cut off or damaged.
    """
    path = Path(path)
    if path.suffix not in SAFETENSORS:
        return {}
    from safetensors import safe_open

    with reading(path), safe_open(str(path), framework="pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118, it is no dict


def tensor_names(path: str | os.PathLike[str]) -> list[str]:
    """Names of a file's tensors, whatever its kind; nothing of one that does not exist or holds no table.

    Raises:
        EX4DError: a file that is cut off or damaged.
    """
    path = Path(path)
    if not path.is_file():
        return []
    if path.suffix in SAFETENSORS:
        return list(tensor_shapes(path))
    return [name for name in read_tensors(path, bare="") if name]


def check_readable(path: str | os.PathLike[str]) -> None:
    """Refuse a file that is cut off or no file of weights, without reading its values.

    A safetensors file's header says how long it is; a pickle of torch's is an archive whose table stands at the end, or,
    in the old format, begins with a pickle's first byte.

    Raises:
        EX4DError: it is missing, cut off, or of another kind.
    """
    path = Path(path)
    if path.suffix in SAFETENSORS:
        tensor_shapes(path)
        return
    with reading(path), path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            if file.read(1) != PICKLE_PROTOCOL:
                raise ValueError("it is neither safetensors nor a file of torch's")


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Around any library's reading of a file of weights: whatever it raises becomes one sentence.

    A cut or damaged file makes pickle, zipfile, struct, torch and safetensors raise a dozen classes, most of them about
    their own insides.
    """
    path = Path(path)
    if not path.is_file():
        raise EX4DError(f"There is no file of weights at {path}.")
    try:
        yield
    except (EX4DError, Cancelled):
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        lines = str(error).strip().splitlines()
        reason = lines[0][:160] if lines else type(error).__name__
        raise EX4DError(
            f"{path.name} ({path.stat().st_size:,} bytes) cannot be read: {reason}. "
            "The download is probably incomplete; fetch the file again."
        ) from error
