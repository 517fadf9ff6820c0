"""Compiling from several threads."""

from __future__ import annotations

import threading

import pytest


def test_two_threads_leave_the_settings_as_they_were(monkeypatch):
    machine_code = pytest.importorskip("ex4d_core.machine.numba_cache")
    monkeypatch.setattr(machine_code.config, "CACHE_DIR", "")
    inside, together = [], []
    both = threading.Barrier(2)

    def folder():
        inside.append(threading.get_ident())
        try:
            both.wait(0.2)  # the second thread comes in only where nothing keeps it out
            together.append(True)
        except threading.BrokenBarrierError:
            pass
        return None

    monkeypatch.setattr(machine_code, "_cache_folder", folder)
    monkeypatch.setattr(machine_code.numba, "njit", lambda **options: lambda function: function)
    threads = [threading.Thread(target=machine_code.njit, args=(len,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(inside) == 2 and not together
    assert machine_code.config.CACHE_DIR == ""
