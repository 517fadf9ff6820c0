"""What arrives at a node's sockets: one shape for each kind, and a sentence for what is none.

Hosts check which sockets are connected, not what travels between them: other packs give pictures of one channel, masks
without a frame axis, empty batches and empty lists.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..ex4d_core.errors import EX4DError
from .schema import inputs_of


def check_sockets(node: type[io.ComfyNode]) -> None:
    """Have a node's ``execute`` called with `ordinary` values only. To be done once for a class."""
    inner = node.execute.__func__

    @functools.wraps(inner)
    def at_once(cls: type[io.ComfyNode], **values: Any) -> io.NodeOutput:
        return inner(cls, **ordinary(node, values))

    @functools.wraps(inner)
    async def beside_others(cls: type[io.ComfyNode], **values: Any) -> io.NodeOutput:
        return await inner(cls, **ordinary(node, values))

    node.execute = classmethod(beside_others if inspect.iscoroutinefunction(inner) else at_once)


def ordinary(node: type[io.ComfyNode], values: Mapping[str, Any]) -> dict[str, Any]:
    """A node's values with pictures and masks in the one shape that the nodes work on.

    Raises:
        EX4DError: nothing at all for an input that must be connected (a list without entries), or pictures or a mask of no
            frame or another shape.
    """
    result = dict(values)
    for given in inputs_of(node):
        if given.id not in result:
            if not given.optional:
                raise EX4DError(NOTHING.format(given.id))
            continue
        value = result[given.id]
        if value is None:
            continue
        if isinstance(value, list) and not value and given.io_type != io.Conditioning.io_type:
            raise EX4DError(NOTHING.format(given.id))
        make = SHAPES.get(given.io_type)
        if make is not None:
            result[given.id] = make(given.id, value)
    return result


NOTHING = "{} is an empty list: the node that it is connected to gave nothing. Check that one."


def pictures(name: str, value: object) -> Tensor:
    """(T, H, W, C) with three or four channels; of grey pictures, the channel stands for all three."""
    if not isinstance(value, Tensor) or value.ndim != 4 or value.shape[-1] not in (1, 3, 4):
        raise EX4DError(f"{name} takes pictures (frames, height, width, 1, 3 or 4 channels), got {_told(value)}.")
    _check_frames(name, value)
    return value.expand(-1, -1, -1, 3) if value.shape[-1] == 1 else value


def mask(name: str, value: object) -> Tensor:
    """(T, H, W); a mask without a frame axis is one frame, and an axis of one channel is left out."""
    if isinstance(value, Tensor) and value.ndim == 4 and value.shape[1] == 1:
        value = value[:, 0]
    if isinstance(value, Tensor) and value.ndim == 2:
        value = value[None]
    if not isinstance(value, Tensor) or value.ndim != 3:
        raise EX4DError(f"{name} takes a mask (frames, height, width), got {_told(value)}.")
    _check_frames(name, value)
    return value


SHAPES: dict[str, Callable[[str, object], Tensor]] = {io.Image.io_type: pictures, io.Mask.io_type: mask}
"""By a socket's type, what makes its values ordinary."""


def _check_frames(name: str, value: Tensor) -> None:
    if 0 in value.shape:
        raise EX4DError(f"{name} holds no frames ({_told(value)}). Check the node that it is connected to.")


def _told(value: object) -> str:
    if isinstance(value, Tensor):
        return "x".join(str(side) for side in value.shape) or "a single number"
    return f"a {type(value).__name__}"
