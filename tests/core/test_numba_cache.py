"""Where machine code is kept, and that compiling leaves numba's settings as they were."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("numba")

from ex4d_core.machine import numba_cache

FOREVER = 60
"""Seconds after which a test that hangs is given up; none of them waits for time to pass."""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's cache folder, somewhere else; and no NUMBA_CACHE_DIR."""
    monkeypatch.setattr(numba_cache.config, "CACHE_DIR", "")
    monkeypatch.setattr(numba_cache, "user_cache", lambda: tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def compiled(monkeypatch):
    """What numba.njit was asked for: its options, and the cache folder that was set then."""
    calls = []

    def njit(**options):
        def compile_it(function):
            calls.append((options, numba_cache.config.CACHE_DIR))
            return function

        return compile_it

    monkeypatch.setattr(numba_cache.numba, "njit", njit)
    return calls


def place(monkeypatch, root: Path, *, pack: bool) -> Path:
    """Pretend that the package lies in ``root``."""
    root.mkdir(parents=True)
    if pack:
        (root / "__init__.py").write_text('WEB_DIRECTORY = "./web"\n')
    monkeypatch.setattr(numba_cache, "__file__", str(root / "ex4d_core" / "machine" / "numba_cache.py"))
    return root


def test_a_checkout_keeps_its_machine_code_itself(monkeypatch, tmp_path, home, compiled):
    pack = place(monkeypatch, tmp_path / "ComfyUI-EX4D", pack=True)
    numba_cache.njit(len, nogil=True)
    [(options, folder)] = compiled
    assert options == {"cache": True, "nogil": True} and Path(folder).parent == pack / ".cache" / "numba"
    assert not home.exists() and numba_cache.config.CACHE_DIR == ""


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("folder", ["site-packages", "dist-packages"])
def test_nothing_is_written_where_pip_installs(monkeypatch, tmp_path, home, compiled, folder, pack):
    installed = place(monkeypatch, tmp_path / "lib" / folder, pack=pack)
    before = sorted(installed.rglob("*"))
    numba_cache.njit(len)
    assert Path(compiled[0][1]).parent == home / "ex4d" / "numba" and sorted(installed.rglob("*")) == before


def test_a_folder_that_is_no_checkout_is_not_written_to(monkeypatch, tmp_path, home):
    target = place(monkeypatch, tmp_path / "target", pack=False)  # pip install --target
    assert numba_cache._cache_folder().parent == home / "ex4d" / "numba" and not list(target.iterdir())


def test_the_users_choice_goes_first(monkeypatch, tmp_path, home, compiled):
    place(monkeypatch, tmp_path / "pack", pack=True)
    monkeypatch.setattr(numba_cache.config, "CACHE_DIR", str(tmp_path / "chosen"))
    numba_cache.njit(len)
    assert Path(compiled[0][1]).parent == tmp_path / "chosen"
    assert str(tmp_path / "chosen") == numba_cache.config.CACHE_DIR


def test_a_checkout_that_cannot_be_written_gives_way_to_the_users_cache(monkeypatch, tmp_path, home):
    pack = place(monkeypatch, tmp_path / "pack", pack=True)
    (pack / ".cache").write_text("in the way")
    assert numba_cache._cache_folder().parent == home / "ex4d" / "numba"


@pytest.mark.parametrize("homeless", [False, True])
def test_where_no_folder_can_be_written_the_machine_code_stays_in_memory(
    monkeypatch, tmp_path, home, compiled, homeless
):
    place(monkeypatch, tmp_path / "lib" / "site-packages", pack=False)
    home.write_text("in the way")
    if homeless:

        def no_home():
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(numba_cache, "user_cache", no_home)
    assert numba_cache.njit(len) is len
    assert compiled == [({}, "")]  # numba is not asked for a cache, which it would put beside the source


def test_each_name_of_the_package_has_a_folder(monkeypatch, tmp_path, home):
    place(monkeypatch, tmp_path / "pack", pack=True)
    first = numba_cache._cache_folder()
    monkeypatch.setattr(numba_cache, "__name__", "other.ex4d_core.machine.numba_cache")
    assert numba_cache._cache_folder() != first


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "named"),
        ("linux", None, "me/.cache"),
        ("darwin", None, "me/Library/Caches"),
        ("win32", "LOCALAPPDATA", "named"),
        ("win32", None, "me/AppData/Local"),
    ],
)
def test_the_users_cache_is_where_each_system_has_it(monkeypatch, tmp_path, platform, variable, expected):
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "named"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "me")
    assert numba_cache.user_cache() == tmp_path / expected


class Door:
    """A lock that tells when somebody stands before it."""

    def __init__(self) -> None:
        self.lock, self.reached = threading.Lock(), threading.Event()

    def __enter__(self) -> None:
        self.reached.set()
        self.lock.acquire()

    def __exit__(self, *_) -> None:
        self.lock.release()


def test_two_threads_take_turns_with_numbas_settings(monkeypatch, home, compiled):
    door, inside = Door(), []
    monkeypatch.setattr(numba_cache, "_setting", door)
    second = threading.Thread(target=lambda: numba_cache.njit(len), daemon=True)

    def folder():
        inside.append(threading.current_thread())
        if len(inside) == 1:
            door.reached.clear()
            second.start()
            # Set before the lock is asked for, or below, where there is no lock to stop the second thread.
            assert door.reached.wait(FOREVER)
            assert len(inside) == 1
        else:
            door.reached.set()
        return home

    monkeypatch.setattr(numba_cache, "_cache_folder", folder)
    numba_cache.njit(len)
    second.join(FOREVER)
    assert len(inside) == 2 and [directory for _, directory in compiled] == [str(home)] * 2
    assert numba_cache.config.CACHE_DIR == ""


def test_settings_come_back_where_numba_refuses_the_folder(monkeypatch, home):
    def njit(cache=False, **options):
        def compile_it(function):
            if cache:
                raise RuntimeError("cannot cache function: no locator available")
            return "in memory"

        return compile_it

    monkeypatch.setattr(numba_cache.numba, "njit", njit)
    monkeypatch.setattr(numba_cache, "_cache_folder", lambda: home)
    assert numba_cache.njit(len) == "in memory" and numba_cache.config.CACHE_DIR == ""


def test_generators_are_refused():
    """Out of the cache they serve no function that is compiled anew, as after a run that was ended while it compiled."""

    def squares(count):
        for number in range(count):
            yield number * number

    with pytest.raises(TypeError, match=r"squares is a generator.*loop where it is used"):
        numba_cache.njit(squares)


KERNEL = """
from constants import FACTOR
from ex4d_core.machine.numba_cache import njit

@njit
def scaled(x):
    return FACTOR * x
"""


def test_machine_code_outlives_a_new_date_and_no_new_constant(monkeypatch, tmp_path, home):
    """An update of the pack writes every file anew; what a kernel imports from another file is part of its code."""
    monkeypatch.syspath_prepend(str(tmp_path))
    kernel = tmp_path / "kernel.py"
    kernel.write_text(KERNEL)

    def run(factor: int, date: int) -> tuple[int, bool]:
        """The result, and whether its code came from the cache."""
        (tmp_path / "constants.py").write_text(f"FACTOR = {factor}\n")
        os.utime(kernel, (date, date))
        for name in ("kernel", "constants"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        scaled = importlib.import_module("kernel").scaled
        return scaled(5), bool(scaled.stats.cache_hits)

    try:
        assert run(2, 1_000_000_000) == (10, False)
        assert run(2, 1_100_000_000) == (10, True)
        assert run(3, 1_100_000_000) == (15, False)
        assert run(3, 1_200_000_000) == (15, True)
    finally:
        for name in ("kernel", "constants"):
            sys.modules.pop(name, None)
