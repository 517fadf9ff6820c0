"""What the nodes' schemas declare, read from their source: without a host no node can be imported."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

NODES = Path(__file__).resolve().parents[2] / "nodes"
SHOW_NOTHING = {"EX4DScheduler", "EX4DFourDNeXSchedule"}


@functools.cache
def schemas() -> dict[str, dict[str, ast.expr]]:
    """Node id -> keyword -> value, of every call of ``schema`` in the nodes' modules."""
    calls = [call for path in NODES.glob("*.py") for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    given = [
        {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        for call in calls
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "schema"
    ]
    return {ast.literal_eval(keywords["node_id"]): keywords for keywords in given if "node_id" in keywords}


def test_every_node_is_found():
    assert {"EX4DLoadVideo", "EX4DScheduler", "WanEX4DSampler"} < schemas().keys()


@pytest.mark.parametrize("name", sorted(schemas().keys() - SHOW_NOTHING))
def test_what_a_node_shows_is_shown_again_once_where_it_comes_from_the_cache(name):
    """As after the page was loaded anew. Newer hosts do it for either of the two, and twice for both."""
    declared = {"is_output_node", "has_intermediate_output"} & schemas()[name].keys()
    assert len(declared) == 1


@pytest.mark.parametrize("name", sorted(schemas()))
def test_a_node_is_found_by_other_words_than_its_name(name):
    assert len(ast.literal_eval(schemas()[name]["search_aliases"])) >= 3
