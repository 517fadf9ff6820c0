"""Cancelling at a moment that the work itself names, on machines of any speed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from .client import Client, Result
from .wan import node

FEW = 4 + 2 * (os.cpu_count() or 1)
"""Looks that threads may still make while they end, one or two each."""


@dataclass(frozen=True)
class Looks:
    """What one run did.

    Attributes:
        result: of the whole prompt.
        looks: node id -> how often it asked whether it is cancelled.
        after: how often the watched node asked after cancel was pressed.
    """

    result: Result
    looks: dict[str, int]
    after: int


def watch(client: Client, prompt: dict, node_id: str = "", at: int = 0) -> Looks:
    """Run a prompt and press cancel at look ``at`` of a node; 0 lets it run to its end."""
    client.queue({"arm": node("EX4DTestCancelAt", watched=node_id, at=at)}).ok()
    result = client.queue(prompt)
    told = json.loads(client.queue({"told": node("EX4DTestLooks")}).ok().text("told"))
    client.queue({"arm": node("EX4DTestCancelAt", watched="", at=0)}).ok()
    return Looks(result, **told)


def check_cancelled(client: Client, prompt: dict, node_id: str, at: int) -> None:
    """Pressed at a look of a node, cancel ends the run there."""
    seen = watch(client, prompt, node_id, at)
    looks = seen.looks.get(node_id, 0)
    assert seen.result.status == "interrupted", f"{seen.result.status}: {looks} looks, cancel at {at}"
    assert looks >= at and seen.after <= FEW, f"{seen.after} looks after cancel at {at}"
    assert node_id not in seen.result.outputs
