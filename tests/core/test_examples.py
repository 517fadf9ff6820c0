"""The examples in docstrings say what happens."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def modules_with_examples() -> list[str]:
    """Found by their text, so that no other module has to be imported, whatever package it needs."""
    paths = sorted((ROOT / "ex4d_core").rglob("*.py"))
    told = [path for path in paths if ">>> " in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in told]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_hold(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write a file
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    done = doctest.testmod(importlib.import_module(name), optionflags=options)
    assert done.attempted and not done.failed, f"{done.failed} examples of {name} are wrong; see the output above"


def test_there_are_ten_examples_of_the_public_names():
    told = sum(len(doctest.DocTestFinder().find(importlib.import_module(name))) for name in modules_with_examples())
    assert len(modules_with_examples()) >= 8 and told >= 10
