"""Trackers that are networks, from checkouts of the same layout and signatures, whose networks follow a motion that is known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ex4d_core.commands.cli import main
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.training.trackers import LEARNED, TrackerFailed, identity, load_tracker

FRAMES, HEIGHT, WIDTH = 5, 48, 64
MOTION = (3.0, -2.0)
"""Pixels (x, y) a frame in the clip below, learned by the stand-ins as their one weight."""

COTRACKER = """
import torch
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.motion = torch.nn.Parameter(torch.zeros(2))
class CoTrackerPredictor(torch.nn.Module):
    def __init__(self, checkpoint="./checkpoints/scaled_offline.pth", offline=True, v2=False, window_len=60):
        super().__init__()
        assert checkpoint is None and offline and not v2 and window_len == 60
        self.model = Model()
    def forward(self, video, queries=None, segm_mask=None, grid_size=0, grid_query_frame=0, backward_tracking=False):
        assert video.shape[2] == 3 and video.max() > 2 and backward_tracking
        time = torch.arange(video.shape[1])[None, :, None] - queries[:, None, :, 0]
        tracks = queries[:, None, :, 1:] + time[..., None] * self.model.motion
        brightness = video.mean((2, 3, 4))[0]
        return tracks, (brightness > 60)[None, :, None].expand(tracks.shape[:3])
"""
TAPIR = """
import torch
class TAPIR(torch.nn.Module):
    def __init__(self, pyramid_level=1, extra_convs=True):
        super().__init__()
        self.motion = torch.nn.Parameter(torch.zeros(2))
        self.extra_convs = torch.nn.Linear(1, 1) if extra_convs else None
        assert pyramid_level == int(extra_convs)
    def forward(self, video, query_points, is_training=False, query_chunk_size=64):
        assert video.shape[2:] == (256, 256, 3) and -1 <= video.min() and video.max() <= 1
        time = torch.arange(video.shape[1])[None, None] - query_points[:, :, :1]
        tracks = query_points[:, :, None, 1:].flip(-1) + time[..., None] * self.motion
        dark = video.mean((2, 3, 4))[0] < -0.5
        occlusion = torch.where(dark, 9.0, -9.0)[None, None].expand(tracks.shape[:3])
        return {"occlusion": occlusion, "tracks": tracks, "expected_dist": torch.full_like(occlusion, -9.0)}
"""
TAPNEXT = """
import torch
class TAPNext(torch.nn.Module):
    def __init__(self, image_size, width=768):
        super().__init__()
        self.motion = torch.nn.Parameter(torch.zeros(2))
        assert image_size == (256, 256)
    def forward(self, video, query_points=None, state=None):
        assert video.shape[1:] == (1, 256, 256, 3) and -1 <= video.min() and video.max() <= 1
        if state is None:
            assert (query_points[..., 0] == 0).all()
            state = (0, query_points)
        step, queries = state
        tracks = queries[:, None, :, 1:] + step * self.motion.flip(0)
        visible = torch.where(video.mean() < -0.5, -1.0, 1.0).expand(*tracks.shape[:3], 1)
        return tracks, None, visible, (step + 1, queries)
"""
UTILS = """
import numpy as np, torch
def restore_model_from_jax_checkpoint(model, ckpt_path):
    model.motion.data = torch.tensor(np.load(ckpt_path)["motion"])
    return model
"""
CODE = {
    "cotracker/predictor.py": COTRACKER,
    "tapnet/torch/tapir_model.py": TAPIR,
    "tapnet/tapnext/tapnext_torch.py": TAPNEXT,
    "tapnet/tapnext/tapnext_torch_utils.py": UTILS,
}
SCALE = (256 / WIDTH, 256 / HEIGHT)


@pytest.fixture(autouse=True)
def fresh_imports():
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ("cotracker", "tapnet")]:
        del sys.modules[name]


@pytest.fixture()
def checkout(tmp_path):
    for name, text in CODE.items():
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "checkout"


def weights_of(name, folder, kind="pt"):
    """The motion in the network's own pixels; TAPNext looks forwards only, so its way back is the clip turned round."""
    motion = torch.tensor(MOTION) * (torch.tensor(SCALE) if name != "cotracker" else 1)
    path = folder / f"{name}.{kind}"
    if kind == "npz":
        np.savez(path, motion=motion.numpy())
        return path
    state = {"motion": motion}
    state = {"cotracker": {"model": state}, "tapnext": {"state_dict": {"tapnext.motion": motion}}}.get(name, state)
    torch.save(state, path)
    return path


def clip():
    frames = np.full((FRAMES, HEIGHT, WIDTH, 3), 200, dtype=np.uint8)
    frames[4] = 10  # where nothing is seen
    return frames


POINTS = np.array([[20.5, 30.25], [40.0, 25.5], [10.0, 40.0]], dtype=np.float32)


@pytest.mark.parametrize("name", LEARNED)
def test_points_move_as_the_network_says_in_the_clips_own_pixels(name, checkout, tmp_path):
    tracker = load_tracker(name, checkout, weights_of(name, tmp_path))
    start = 2
    found = tracker(clip(), POINTS, start)
    time = np.arange(FRAMES) - start
    if name == "tapnext":
        time = np.abs(time)
    wanted = POINTS[None] + time[:, None, None] * np.array(MOTION, dtype=np.float32)
    np.testing.assert_allclose(found.path, wanted, atol=1e-4)
    assert found.path.dtype == np.float32 and found.seen.tolist() == [[True] * 3] * 4 + [[False] * 3]
    with pytest.raises(Cancelled):
        tracker(clip(), POINTS, start, lambda: True)


def test_the_published_arrays_of_tapnext_are_read(checkout, tmp_path):
    tracker = load_tracker("tapnext", checkout, weights_of("tapnext", tmp_path, "npz"))
    np.testing.assert_allclose(tracker(clip(), POINTS, 0).path[3], POINTS + 3 * np.float32(MOTION), atol=1e-4)


def test_tapir_is_built_for_what_its_file_holds(checkout, tmp_path):
    plain = weights_of("tapir", tmp_path)
    state = torch.load(plain) | {"extra_convs.weight": torch.zeros(1, 1), "extra_convs.bias": torch.zeros(1)}
    torch.save(state, tmp_path / "boots.pt")
    for path in (plain, tmp_path / "boots.pt"):
        load_tracker("tapir", checkout, path)


class Harmful:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("name", LEARNED)
def test_what_does_not_fit_is_told(name, checkout, tmp_path, capsys):
    good = weights_of(name, tmp_path)
    with pytest.raises(EX4DError, match="is no checkout of"):
        load_tracker(name, tmp_path, good)
    with pytest.raises(EX4DError, match="no weights of the tracker"):
        load_tracker(name, checkout, tmp_path / "none.pt")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    torch.save({"motion": Harmful()}, tmp_path / "harmful.pt")
    save_file({"motion": torch.zeros(2)}, tmp_path / "wrong.pth")
    for wrong in ("other.pt", "harmful.pt", "wrong.pth"):
        with pytest.raises(EX4DError, match=f"The tracker {name} of .* does not load with"):
            load_tracker(name, checkout, tmp_path / wrong)
    assert capsys.readouterr().out == ""  # nothing in a file was run
    for file in CODE:
        (checkout / file).write_text("import not_there", encoding="utf-8")
    fresh = [each for each in sys.modules if each.partition(".")[0] in ("cotracker", "tapnet")]
    for each in fresh:
        del sys.modules[each]
    with pytest.raises(EX4DError, match="No module named 'not_there'"):
        load_tracker(name, checkout, good)


RAISED = {
    "a sentence": ('raise RuntimeError("shapes differ\\nmore")', "RuntimeError: shapes differ."),
    "a name": ('raise KeyError("tracks")', "KeyError: 'tracks'."),
    "nothing": ("assert False", "AssertionError."),
}


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("name", LEARNED)
def test_what_is_raised_while_points_are_followed_names_tracker_and_file(name, what, checkout, tmp_path):
    code, told = RAISED[what]
    raising(checkout, code)
    file = weights_of(name, tmp_path)
    wanted = f"The tracker {name} with '{file}' failed on 3 points in 5 frames of 64x48: {told}"
    with pytest.raises(TrackerFailed) as caught:
        load_tracker(name, checkout, file)(clip(), POINTS, 2)
    assert str(caught.value) == wanted


def raising(checkout, code):
    """Every network's forward begins with this."""
    for file in CODE:
        path = checkout / file
        lines = path.read_text(encoding="utf-8").splitlines()
        for number in reversed([n for n, line in enumerate(lines) if line.strip().startswith("def forward")]):
            lines.insert(number + 1, f"        {code}")
        path.write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize("name", LEARNED)
def test_what_is_no_answer_is_told_and_want_of_memory_stays_what_it_is(name, checkout, tmp_path):
    file = tmp_path / f"{name}.pt"
    wild = weights_of(name, tmp_path)
    state = torch.load(wild)
    for part in (state, *(value for value in state.values() if isinstance(value, dict))):
        part.update({key: torch.full_like(v, float("nan")) for key, v in part.items() if isinstance(v, torch.Tensor)})
    torch.save(state, file)
    with pytest.raises(TrackerFailed, match=f"The tracker {name} with .* gave no tracks of 3 points"):
        load_tracker(name, checkout, file)(clip(), POINTS, 0)
    for each in [each for each in sys.modules if each.partition(".")[0] in ("cotracker", "tapnet")]:
        del sys.modules[each]
    raising(checkout, 'raise MemoryError("no room")')
    with pytest.raises(MemoryError):
        load_tracker(name, checkout, weights_of(name, tmp_path))(clip(), POINTS, 0)


def test_a_tracker_is_told_from_another_by_its_weights(tmp_path):
    (tmp_path / "other").mkdir()
    paths = [tmp_path / "a.pt", tmp_path / "other" / "a.pt", tmp_path / "b.pt", tmp_path / "c.pt"]
    for path, content in zip(paths, (b"one", b"one", b"one", b"two"), strict=True):
        path.write_bytes(content)
    told = [identity("tapir", path) for path in paths]
    assert told[0] == told[1] and len(set(told)) == 3 and identity("tapnext", paths[0]) not in told
    assert told[0] == "tapir: a.pt, 3 bytes, sha256 7692c3ad3540bb80"
    with pytest.raises(EX4DError, match="no weights of the tracker tapir"):
        identity("tapir", tmp_path / "none.pt")


def test_a_package_of_the_same_name_elsewhere_is_not_taken_for_it(checkout, tmp_path):
    other = tmp_path / "other"
    (other / "cotracker").mkdir(parents=True)
    (other / "cotracker" / "predictor.py").write_text(COTRACKER, encoding="utf-8")
    load_tracker("cotracker", other, weights_of("cotracker", tmp_path))
    with pytest.raises(EX4DError, match="cotracker is also installed, at"):
        load_tracker("cotracker", checkout, weights_of("cotracker", tmp_path))


def test_the_command_names_what_is_missing_and_makes_masks(checkout, tmp_path, capsys):
    from ex4d_core.video import save_video

    save_video(tmp_path / "clip.mp4", torch.from_numpy(clip()), 15)
    words = [
        "masks", "--input_video", str(tmp_path / "clip.mp4"), "--output_dir", str(tmp_path / "masks"), "--kind", "tracking",
        "--num_frames", "5", "--size", "64x48", "--samples", "1",
    ]  # fmt: skip
    assert main([*words, "--tracker", "tapir"]) == 2
    assert "give its checkout with --tracker_repo" in capsys.readouterr().err
    assert main([*words, "--tracker_repo", str(checkout)]) == 2
    assert "are for --tracker cotracker, tapir, tapnext" in capsys.readouterr().err
    file = str(weights_of("tapir", tmp_path))
    assert main([*words, "--tracker", "tapir", "--tracker_repo", str(checkout), "--tracker_weights", file]) == 0
    assert (tmp_path / "masks" / "mask_000.mp4").is_file()
