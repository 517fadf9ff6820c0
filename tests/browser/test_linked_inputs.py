"""The camera editor where links, or the face of a subgraph, decide: it shows what is rendered and loses no edit silently."""

from __future__ import annotations

import json


def test_links_and_faces_in_litegraph_nodes(oldest_frontend, browse, host, keep, tmp_path):
    check(browse("linked.mjs", tmp_path))
    keep(host.version)


def test_links_and_faces_in_vue_nodes(browse_vue, host, keep, tmp_path):
    check(browse_vue("linked.mjs", tmp_path, "vue"))
    keep(f"vue-{host.version}")


def check(report: dict) -> None:
    ours = [text for text in report["seen"]["errors"] if "/extensions/" in text or "ex4d" in text.lower()]
    assert not ours
    assert report["runs"] == ["success"] * 4

    # Numbers over links: after the run the editor shows them, and says where they come from before and after.
    assert "angle, fps come from links. Run the node" in report["before"]["status"]
    assert (report["numbers"]["angle"], report["numbers"]["fps"]) == (33, 24)
    assert "angle, fps come from links. This is what the last run made" in report["numbers"]["status"]
    assert (report["undone"]["angle"], report["undone"]["fps"]) == (33, 24)
    assert report["silent"]["angle"] == 45

    # The path over a link: shown after the run, not to be edited, until the link is cut.
    assert "path comes from a link. Run the node" in report["pathBefore"]["status"]
    assert report["path"]["keys"] == report["dragged"]["keys"] == 2
    assert "Edits here would not count" in report["path"]["status"]
    assert report["path"]["refused"] == "" and report["dragged"]["status"].startswith("Not changed. path comes from")
    assert report["dragged"]["own"] == "", "no edit went where nobody would send it"
    unlinked, edited = report["unlinked"], report["edited"]
    assert unlinked["keys"] == 2 and json.loads(unlinked["sent"])["keyframes"][1]["position"] == [1, 0, 0.4]
    assert edited["refused"] == "" and edited["sent"] == edited["text"] == edited["own"] != unlinked["sent"]

    # On a subgraph's face: what stands there is shown without a run, and edits inside go there and are sent.
    assert report["face"]["angle"] == report["faceRun"]["angle"] == report["faceRun"]["sent"]["angle"] == 21
    edited = report["faceEdited"]
    assert edited["keys"] >= 2 and edited["face"] == edited["sent"] == edited["text"]
    assert "face; edits go there" in edited["status"]
    assert report["facePath"]["keys"] == 2 and report["facePath"]["text"] == report["facePath"]["face"]
    reloaded = report["reloaded"]
    assert reloaded["keys"] == 2 and reloaded["text"] == reloaded["face"] == reloaded["sent"]
    assert "path is set on 2 nodes of this subgraph" in report["shared"]["status"]
