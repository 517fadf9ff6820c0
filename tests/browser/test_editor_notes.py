"""The scene view's note while there is no scene: whole, and over no path, in low, narrow and high nodes of both themes."""

from __future__ import annotations


def test_note_leaves_the_path_free(oldest_frontend, browse, host, keep, tmp_path):
    report = browse("notes.mjs", tmp_path)
    ours = [text for text in report["seen"]["errors"] if "/extensions/" in text or "ex4d" in text.lower()]
    assert not ours
    assert {view["palette"] for view in report["views"]} == {"dark", "light"}
    assert len({tuple(view["view"]) for view in report["views"]}) == 4
    for view in report["views"]:
        where = f"{view['palette']} {view['size']}"
        assert "No scene yet" in view["text"], where
        left, top, right, bottom = view["note"]
        width, height = view["view"]
        assert 0 <= left < right <= width and 0 <= top < bottom <= 0.25 * height, where
        assert "orbit" in view["covered"] and not any(view["covered"].values()), f"{where} {view['covered']}"
    keep(host.version)
