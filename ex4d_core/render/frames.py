"""Frames drawn on several threads; cancel and progress stay with the thread that asked for them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import torch

from ..errors import Cancelled
from ..machine.cancel import POLL_SECONDS
from ..machine.cores import cores
from ..machine.torch_threads import threads_kept
from .view import Settings, View

MAX_THREADS = 16
IN_FLIGHT = 1.4e9
"""Bytes that all threads together hold, though one frame is always drawn."""


def watched(
    total: int, progress: Callable[[int, int], None] | None, cancel: Callable[[], bool] | None
) -> tuple[Callable[[], None], Callable[[], None]]:
    """How a render tells of itself and is stopped.

    Args:
        total: frames to be drawn.
        progress: called with (frames done, ``total``).
        cancel: whether to stop.

    Returns:
        What is called after each frame, and what is called now and then and raises Cancelled where ``cancel`` says so.
    """
    done = 0

    def frame_done() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    def poll() -> None:
        if cancel is not None and cancel():
            raise Cancelled("Rendering was cancelled.")

    return frame_done, poll


def affordable_threads(frames: int, held: int) -> int:
    """How many of ``frames`` are drawn at once where one holds ``held`` bytes meanwhile; at least 1."""
    return max(1, min(cores(), MAX_THREADS, frames, int(IN_FLIGHT // held)))


def draw_on_threads(
    draw: Callable[[View], None], views: list[View], threads: int, settings: Settings, stop: Callable[[], None]
) -> None:
    """Draw every view, ``threads`` at a time.

    Args:
        draw: draws one view, on any of the threads.
        views: what to draw.
        threads: at most so many at once.
        settings: whose `poll` is called at least every second and `frame_done` after each view, both in this thread.
        stop: called when the work is over, be it done, failed or cancelled; what is still being drawn has to end then.
    """
    inference = torch.is_inference_mode_enabled()

    def drawn(view: View) -> None:
        # The mode is a thread's own, and tensors made in it (as ComfyUI's are) are written to in it only.
        with torch.inference_mode(inference):
            draw(view)

    with threads_kept():
        # Frames are drawn side by side: torch's own threads within each would only wait for each other.
        pool = ThreadPoolExecutor(
            threads, "ex4d-render", torch.set_num_threads, (1,) if threads > 1 else (torch.get_num_threads(),)
        )
        _draw_all(drawn, views, pool, threads, settings, stop)


def _draw_all(
    drawn: Callable[[View], None],
    views: list[View],
    pool: ThreadPoolExecutor,
    threads: int,
    settings: Settings,
    stop: Callable[[], None],
) -> None:
    waiting = iter(views)
    running = {pool.submit(drawn, view) for _, view in zip(range(2 * threads), waiting)}
    try:
        while running:
            finished, running = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            settings.poll()
            for future in finished:
                future.result()
                following = next(waiting, None)
                if following is not None:
                    running.add(pool.submit(drawn, following))
                settings.frame_done()
    finally:
        stop()  # where nothing failed, nothing runs any more
        pool.shutdown(wait=False, cancel_futures=True)
        # Work ends at once. A compiler, on the very first call, cannot be stopped: it is left to end by itself.
        begun = [frame for frame in running if not frame.cancelled()]
        compiling = wait(begun, timeout=2 * POLL_SECONDS).not_done
        pool.shutdown(wait=not compiling)
