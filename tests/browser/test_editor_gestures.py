"""How drags end, pen and touch, hidden nodes and many editors at once, in real frontends."""

from __future__ import annotations


def test_drags_end_cleanly_and_editors_share_one_context(browse):
    report = browse("gestures.mjs")
    ours = [text for text in report["seen"]["errors"] if "/extensions/" in text or "ex4d" in text.lower()]
    assert not ours

    # Esc takes the drag back; a lost window or pointer ends it where it is.
    assert report["escape"] == {"still": False, "held": False, "restored": True}
    assert report["blur"] == {"still": False, "held": False, "changed": True}
    assert report["lost"] == {"still": False, "held": False}

    touch = report["touch"]
    assert touch["turned"] and touch["yawKept"] and not touch["held"]
    assert 1.5 < touch["nearer"] < 2.1
    assert report["pen"] == {"changed": True, "held": False}

    assert report["playing"] == {"open": True, "collapsed": False, "again": True}
    assert report["many"] == {"shared": True, "disposed": True, "alive": True, "released": True, "left": 0}
