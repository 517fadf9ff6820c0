"""The same workers on a Ray cluster: an actor each, spread over the nodes. Ray is optional.

Every node sees the file of jobs, what the jobs read and write, and this package under the same paths.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import EX4DError
from ..console import say
from . import worker
from .crew import Worker

PACKAGE = Path(__file__).resolve().parents[3]
"""The folder that ex4d_core lies in."""


class Actor:
    """What Ray keeps alive in a process of its own."""

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """``function(*arguments)``."""
        return function(*arguments)

    def stop(self) -> None:
        """End the job at work; runs beside `call`, on a thread of its own."""
        worker.stop()


class RayWorker:
    """An actor of the cluster.

    Args:
        ray: the module.
        options: of the actor.
    """

    def __init__(self, ray: Any, options: dict[str, Any]) -> None:
        self.ray = ray
        self.actor = ray.remote(**options)(Actor).remote()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """See `Worker`."""
        outcome: Future[Any] = Future()
        self.actor.call.remote(function, arguments).future().add_done_callback(lambda made: _settle(outcome, made))
        return outcome

    def stop(self) -> None:
        """See `Worker`."""
        self.actor.stop.remote()

    def end(self, kill: bool) -> None:  # noqa: ARG002 - an actor without a call has nothing to finish
        """See `Worker`."""
        self.ray.kill(self.actor)


def _settle(outcome: Future[Any], made: Future[Any]) -> None:
    """Hand on a result, or the error that was raised there instead of Ray's, whose text is a traceback."""
    error = made.exception()
    if error is None:
        outcome.set_result(made.result())
    else:
        cause = getattr(error, "cause", None)
        outcome.set_exception(cause if isinstance(cause, Exception) else error)


@dataclass(frozen=True)
class HireOnRay:
    """Workers of a cluster that was joined.

    Attributes:
        ray: the module.
        setting: of every worker.
        options: of every actor.
        lost: what a call raises whose actor, or node, is gone.
    """

    ray: Any
    setting: worker.Setting
    options: dict[str, Any]
    lost: tuple[type[BaseException], ...]

    def __call__(self, place: int) -> tuple[Worker, Future[Any]]:  # noqa: ARG002 - Ray chooses the node
        """See `Hire`."""
        hired = RayWorker(self.ray, self.options)
        return hired, hired.call(worker.begin, self.setting)


def join(address: str, workers: int | None, jobs: int, folder: str) -> tuple[HireOnRay, int]:
    """Join a cluster; who starts workers there, and how many.

    Args:
        address: "auto", host:port, or ray://host:port.
        workers: how many; None = one for each GPU of the cluster, without one for each of its processors.
        jobs: no more workers than that.
        folder: of the file of jobs.

    Raises:
        EX4DError: Ray is not installed, or there is no such cluster.
    """
    try:
        ray: Any = importlib.import_module("ray")
        errors = importlib.import_module("ray.exceptions")
    except ImportError as error:
        raise EX4DError("--ray needs the package ray, which is not installed. Run: pip install ray") from error
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise EX4DError(f"There is no Ray cluster at --ray {address}: {first}") from error
    resources = ray.cluster_resources()
    cards, processors = int(resources.get("GPU", 0)), max(1, int(resources.get("CPU", 1)))
    size = min(jobs, workers or cards or processors)
    threads = max(1, processors // size)
    say(f"{size} workers on {len(ray.nodes())} nodes, {threads} threads each{f', {cards} GPUs' if cards else ''}")
    limits = dict.fromkeys(worker.THREAD_LIMITS, str(threads))
    paths = os.pathsep.join(filter(None, (str(PACKAGE), os.environ.get("PYTHONPATH"))))
    options = {
        "num_cpus": min(1.0, processors / size),  # more than one, and small nodes would have no worker
        "num_gpus": min(1.0, cards / size),
        "max_concurrency": 2,
        "scheduling_strategy": "SPREAD",
        "runtime_env": {"env_vars": {**limits, "PYTHONPATH": paths}},
    }
    return HireOnRay(ray, worker.Setting(folder, threads), options, (errors.RayActorError, errors.RaySystemError)), size
