"""Parts of torch's work on threads beside each other."""

from __future__ import annotations

import threading

import pytest
import torch

from ex4d_core.machine import torch_threads
from ex4d_core.machine.torch_threads import one_thread, side_by_side


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(torch_threads, "cores", lambda: 4)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_each_thread_has_one_of_torchs_and_all_is_as_before_at_the_end(four_cores):
    meeting = threading.Barrier(4)

    def work(part: int) -> tuple[int, int, bool]:
        meeting.wait(60)  # four are at work at once
        return part, torch.get_num_threads(), torch.is_inference_mode_enabled()

    with torch.inference_mode():
        assert side_by_side(work, range(4)) == [(part, 1, True) for part in range(4)]
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert torch.get_num_threads() == 3 and later == [3]


def test_callers_that_overlap_leave_threads_as_they_were(four_cores):
    """Work that was left behind goes on beside the next: whichever of the two ends last."""
    begun, ended = threading.Event(), threading.Event()

    def first(part: int) -> None:
        begun.set()
        assert ended.wait(60)

    one = threading.Thread(target=side_by_side, args=(first, [0, 1]))
    one.start()
    assert begun.wait(60)

    def work(part: int) -> int:
        ended.set()
        one.join(60)
        return part

    second: list[list[int]] = []
    two = threading.Thread(target=lambda: second.append(side_by_side(work, [0, 1])))
    two.start()
    two.join(60)
    later: list[int] = []
    three = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    three.start()
    three.join()
    assert second == [[0, 1]] and later == [3]


def test_a_part_that_fails_leaves_threads_as_they_were(four_cores):
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda part: 1 // part, [1, 0, 2, 3])
    assert torch.get_num_threads() == 3


def test_one_part_is_done_where_it_is_asked_for(four_cores):
    assert side_by_side(lambda _: threading.current_thread(), [0]) == [threading.current_thread()]


def test_torch_keeps_to_one_thread_beside_others_work_and_the_callers_own_come_back(four_cores):
    def work(_: int) -> int:
        with one_thread():
            return torch.get_num_threads()

    with one_thread():
        assert torch.get_num_threads() == 1 and side_by_side(work, [0, 1]) == [1, 1]
        assert torch.get_num_threads() == 1
    with torch_threads.threads_kept():  # others, who put back all threads at their own end
        with one_thread():
            pass
        assert torch.get_num_threads() == 3
