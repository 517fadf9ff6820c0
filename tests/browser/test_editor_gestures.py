"""How drags end, pen and touch, hidden nodes, many editors, and the editor's place in its graph, in real frontends."""

from __future__ import annotations


def test_drags_end_cleanly_and_editors_share_one_context(oldest_frontend, browse):
    report = browse("gestures.mjs")
    ours = [text for text in report["seen"]["errors"] if "/extensions/" in text or "ex4d" in text.lower()]
    assert not ours

    # Esc takes the drag back; a lost window or pointer ends it where it is.
    assert report["escape"] == {"still": False, "held": False, "restored": True}
    assert report["blur"] == {"still": False, "held": False, "changed": True}
    assert report["lost"] == {"still": False, "held": False}

    drawn = {"plays": True, "shadows": True}
    spared = {"plays": False, "shadows": False}
    assert report["spared"] == {"before": drawn, "during": spared, "after": drawn, "removed": drawn}

    touch = report["touch"]
    assert touch["turned"] and touch["yawKept"] and not touch["held"]
    assert 1.5 < touch["nearer"] < 2.1
    pinch = report["pinch"]
    assert 1.5 < pinch["nearer"] < 2.1 and pinch["steps"] == 1 and not pinch["held"]
    # A finger that the browser takes away ends its drag where it is.
    assert report["cancel"] == {"heldBefore": True, "still": False, "held": False, "changed": True}
    assert report["pen"] == {"changed": True, "held": False}

    assert report["playing"] == {"open": True, "collapsed": False, "again": True}
    assert report["hidden"] == {"still": False, "held": False}
    replayed = report["replayed"]
    assert replayed["playing"] and 0 < replayed["frame"] - replayed["before"] < 20
    assert report["many"] == {"shared": True, "disposed": True, "alive": True, "released": True, "left": 0}


def test_editor_lives_with_copies_undo_tabs_and_subgraphs(oldest_frontend, browse):
    report = browse("graph.mjs")
    ours = [text for text in report["seen"]["errors"] if "/extensions/" in text or "ex4d" in text.lower()]
    assert not ours

    # A pasted node starts with the same path and then has its own; the first node and its undo stay as they were.
    assert report["paste"] == {"same": True, "own": True, "apart": True, "undone": 1, "kept": True}
    # Ctrl+Z in the editor takes back its last step; the graph's undo and redo carry the editor along.
    undo = {"editor": True, "nodes": 1, "redone": True, "graph": True, "follows": True, "graphRedone": True}
    assert report["undo"] == {**undo, "draws": True}
    assert report["tabs"] == {"away": True, "gone": 0, "kept": True, "draws": True}

    subgraph = report["subgraph"]
    assert subgraph.pop("inside") == 1
    assert len(subgraph) == 7 and all(subgraph.values()), subgraph
