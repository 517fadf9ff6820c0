"""Wan's forwards with hooks of ours on its modules, and the wrappers by which ComfyUI calls us around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from ...errors import EX4DError
from .comfy_types import Executor, Model

Wrapper = Callable[..., Any]
"""Called in place of one of ComfyUI's functions, with an executor that goes on to it, and that function's arguments."""


@dataclass(frozen=True)
class Hook:
    """What is put on a module of the network while a forward runs.

    Attributes:
        module: its name in the network.
        kind: "forward", after the module's own forward, or "forward_pre", before it.
        call: what is called then, with an attribute ``calls`` that counts.
    """

    module: str
    kind: Literal["forward", "forward_pre"]
    call: Any


class Forwards:
    """The forwards of one run, each with hooks while it runs; refuses one that has passed them by.

    A wrapper that caches (EasyCache) may leave a forward out, and give back what an earlier one of this run, with the hooks,
    has left. One that computes something else in its place is refused.

    Args:
        lost: what is to be said then, a sentence's beginning: "The EX-4D prior was not added".
        loader: the node after which a model is to be compiled.
    """

    def __init__(self, lost: str, loader: str) -> None:
        self.lost, self.loader = lost, loader
        self._computed: set[object] = set()

    def forget(self) -> None:
        """The run is over."""
        self._computed.clear()

    @torch.compiler.disable(recursive=False)
    def run(self, executor: Executor, hooks: Sequence[Hook], args: tuple[Any, ...], **kwargs: Any) -> Any:
        """One forward.

        Args:
            executor: of the DIFFUSION_MODEL wrapper.
            hooks: what to put on the network's modules.
            args: what the executor is called with; the last one is transformer_options, which say whose forward it is.
            kwargs: likewise.
        """
        options = args[-1]
        executor.original = forward = _Reached(executor.original)
        handles: list[Any] = []
        try:
            for hook in hooks:
                module = getattr(executor.class_obj, hook.module)
                handles.append(getattr(module, f"register_{hook.kind}_hook")(hook.call))
            result = executor(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()
        asked = set(options.get("uuids") or options.get("cond_or_uncond") or [None])
        if all(hook.call.calls for hook in hooks):
            self._computed |= asked
        elif forward.reached or not asked <= self._computed:
            raise EX4DError(
                f"{self.lost}: another patch replaces Wan's forward (or a compiled one was reused). Remove that patch, or "
                f"compile the model after the {self.loader}."
            )
        return result


class _Reached:
    """Wan's own forward, which notes that it was called: not where a wrapper leaves it out."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward, self.reached = forward, False

    @torch.compiler.disable(recursive=False)
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.reached = True
        return self.forward(*args, **kwargs)


def wrap(model: Model, key: str, *, outer_sample: Wrapper, diffusion_model: Wrapper | None = None) -> None:
    """Set the wrappers under a key (in place); those that were there before are taken off."""
    for kind, wrapper in (("OUTER_SAMPLE", outer_sample), ("DIFFUSION_MODEL", diffusion_model)):
        unwrap(model, key, kind)
        if wrapper is not None:
            model.add_wrapper_with_key(_kind(kind), key, wrapper)


def unwrap(model: Model, key: str, kind: str) -> None:
    """Take a key's wrappers of one kind off (in place)."""
    model.remove_wrappers_with_key(_kind(kind), key)


def _kind(name: str) -> str:
    import comfy.patcher_extension

    return getattr(comfy.patcher_extension.WrappersMP, name)
