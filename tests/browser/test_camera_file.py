"""The upload button for camera files, which no host offers for such files by itself."""

from __future__ import annotations

from ex4d_core.trajectory import Trajectory


def test_a_camera_file_is_uploaded_chosen_and_used(browse, server, client, tmp_path):
    source = Trajectory.preset("30", frames=5).save(tmp_path / "uploaded camera.json")
    report = browse("camera_file.mjs", source)
    assert report["inputs"]["file"] == source.name
    assert (server.input / source.name).read_bytes() == source.read_bytes()
    assert report["result"] == {"status": "success", "error": None}
    # The button saves nothing, so that the values of a saved graph stay where they are.
    changed = [now for then, now in zip(report["before"], report["after"], strict=True) if then != now]
    assert changed == [source.name]
    assert not {"upload_camera", "camera_editor"} & report["inputs"].keys()
