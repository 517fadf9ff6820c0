"""Cancels a node at a chosen look: the moments at which work asks the host whether the artist has pressed cancel.

Neither the moment nor what follows depends on how fast the machine is.
"""

from __future__ import annotations

import json
import threading
from collections import Counter

import comfy.model_management
import server
from comfy_execution.utils import get_executing_context

from .define import TEXT, node


class Watch:
    """Counts the looks of every node, presses cancel at one of one node, and counts those that this node makes then."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.arm("", 0)
        for name in ("processing_interrupted", "throw_exception_if_processing_interrupted"):
            setattr(comfy.model_management, name, self.counting(getattr(comfy.model_management, name)))

    def arm(self, watched: str, at: int) -> None:
        """From now on look number ``at`` of a node presses cancel; 0 only counts."""
        self.watched, self.at, self.looks, self.after = watched, at, Counter(), 0

    def counting(self, ask):
        """The host's function, counted."""

        def counted():
            context = get_executing_context()
            # Threads that a node starts have no context of their own.
            node_id = context.node_id if context else server.PromptServer.instance.last_node_id
            with self.lock:
                self.looks[node_id] += 1
                looks = self.looks[node_id] if node_id == self.watched else 0
                self.after += 0 < self.at < looks
            if 0 < self.at == looks:
                comfy.model_management.interrupt_current_processing()
            return ask()

        return counted


_watch: list[Watch] = []


@node("STRING", sink=True, watched=TEXT, at=("INT", {"default": 0}))
def EX4DTestCancelAt(watched, at):
    """Press cancel at a look of a node in the prompts to come; ``at`` 0 only counts its looks."""
    if not _watch:
        _watch.append(Watch())
    _watch[0].arm(watched, at)
    return {"ui": {"text": ["armed"]}}


@node("STRING", sink=True)
def EX4DTestLooks():
    """How often each node has looked since, and the watched one after cancel was pressed."""
    return {"ui": {"text": [json.dumps({"looks": _watch[0].looks, "after": _watch[0].after})]}}
