"""Pictures and lines of numbers of a run, in both renderers: each shown once and whole, for as long as the frontend has them."""

from __future__ import annotations

import json

MOMENTS = ["first", "second", "tab", "undo", "subgraph", "back"]
MEDIA = {"EX4DDemoClip": "playing", "EX4DBuildDWMesh": "image", "EX4DRenderColorMask": "playing"}


def test_numbers_stay_with_their_pictures_in_litegraph_nodes(oldest_frontend, browse, host, keep, tmp_path):
    check(browse("numbers.mjs", tmp_path))
    keep(host.version)


def test_numbers_stay_with_their_pictures_in_vue_nodes(browse_vue, host, keep, tmp_path):
    report = browse_vue("numbers.mjs", tmp_path, "vue")
    check(report)
    # ComfyUI's own 3D viewer shows the clip's mesh in its colours, from the path's first camera.
    viewer = report["viewer"]
    assert viewer["run"]["status"] == "success" and viewer["shown"] > viewer["empty"] + 0.1, viewer
    keep(f"vue-{host.version}")


def test_numbers_stay_with_their_pictures_in_litegraph_nodes_of_the_newest_frontend(browse_vue, host, keep, tmp_path):
    check(browse_vue("numbers.mjs", tmp_path))
    keep(f"newest-{host.version}")


def check(report: dict) -> None:
    ours = [text for text in report["seen"]["errors"] if "/extensions/" in text or "ex4d" in text.lower()]
    assert not ours
    assert [run["status"] for run in report["runs"]] == ["success"] * 3
    assert list(report["shown"]) == MOMENTS
    # The camera editor keeps its room but for the lines of numbers: the run's picture of the path takes none of it.
    before, after = report["heights"]
    assert after > 250 and before - after <= 90, report["heights"]
    for moment, nodes in report["shown"].items():
        for kind, shown in nodes.items():
            assert shown["lines"] and set(shown["lines"].values()) == {1}, f"{moment}: {kind} {shown['lines']}"
            assert shown["media"] == ([MEDIA[kind]] if kind in MEDIA else []), f"{moment}: {kind} {shown['media']}"
    for moment in MOMENTS[:4]:
        assert report["shown"][moment].keys() == {*MEDIA, "EX4DCameraTrajectory"}, moment
    assert report["shown"]["subgraph"].keys() == {"EX4DDemoClip", "EX4DBuildDWMesh"}

    # The numbers of the last run, and neither saved nor sent.
    assert report["changed"]
    texts = [line for nodes in report["shown"].values() for shown in nodes.values() for line in shown["lines"]]
    saved, sent = json.dumps(report["saved"], ensure_ascii=False), json.dumps(report["sent"], ensure_ascii=False)
    assert not [line for line in texts if line in saved or line in sent]
    assert "ex4d_numbers" not in sent
