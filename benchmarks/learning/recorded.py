"""A step of training as one launch: at these sizes a GPU works off kernels faster than Python can start them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

WARM = 3


def recorded(step: Callable[[], Tensor], parameters: Iterable[Tensor], draws: torch.Generator) -> Callable[[], Tensor]:
    """A step that draws its samples, goes forwards and backwards, and returns its error; gradients are those of one step.

    On a GPU its kernels are recorded once, after some steps that compile, and played again at each call. What it returns
    and the gradients are then the same memory at every call. On a processor it is called.

    Args:
        step: waits for nothing and has no shapes that change.
        parameters: all that get gradients.
        draws: what is random in the step.
    """
    parameters = list(parameters)

    def afresh() -> Tensor:
        for value in parameters:
            value.grad = None
        return step()

    if draws.device.type != "cuda":
        return afresh
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM):
            afresh()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(draws)
    with torch.cuda.graph(graph):
        error = afresh()

    def play() -> Tensor:
        graph.replay()
        return error

    return play
