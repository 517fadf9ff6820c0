"""Load Video: the right frames and sound, and no way out of ComfyUI's folders."""

from __future__ import annotations

import io
import json
import os
import shutil
from fractions import Fraction

import numpy as np
import pytest
from harness.cancel import check_cancelled

WIDTH, HEIGHT, FRAMES, FPS, RATE = 96, 64, 30, 10, 48000


def write_clip(path, frames=FRAMES, level=8, late=0.0, codec="aac"):
    """Frame t is grey 8*t; the sound is silent in its first second and a tone after it, and begins ``late`` seconds in."""
    import av

    with av.open(str(path), mode="w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"crf": "0"}
        audio = container.add_stream(codec, rate=RATE)
        for t in range(frames):
            grey = np.full((HEIGHT, WIDTH, 3), level * t, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(video.encode(None))
        time = np.arange(frames * RATE // FPS) / RATE
        tone = (0.5 * np.sin(2 * np.pi * 440 * time) * (time >= 1)).astype(np.float32)
        for start in range(0, len(tone), 1024):
            sound = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = RATE, round(late * RATE) + start, Fraction(1, RATE)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


@pytest.fixture()
def clip(server):
    path = server.input / "clip.mp4"
    if not path.exists():
        write_clip(path)
    return path.name


def video_frames(data):
    """The decoded frames (T, H, W, 3) uint8 of a file's bytes, and their rate."""
    import av

    with av.open(io.BytesIO(data)) as container:
        rate = float(container.streams.video[0].average_rate)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]), rate


def load(file="clip.mp4", **values):
    inputs = {"file": file, "start": 0, "frames": 5, "fps": 0.0, "width": 32, "height": 32, "fit": "crop"}
    return {"class_type": "EX4DLoadVideo", "inputs": inputs | values}


def record(slot, name="value"):
    return {"class_type": "EX4DTestRecord", "inputs": {"value": ["load", slot], "name": name}}


def mean_levels(client, server, **values):
    """Mean of each loaded frame, 0..255."""
    import torch

    client.queue({"load": load(**values), "record": record(0, "levels")}).ok()
    return torch.load(server.output / "levels.pt", weights_only=True).mean((1, 2, 3)) * 255


def test_frames_start_and_count(client, server, clip):
    levels = mean_levels(client, server, start=3, frames=4)
    assert levels.tolist() == pytest.approx([24, 32, 40, 48], abs=2)


def test_all_frames_at_half_the_rate(client, server, clip):
    levels = mean_levels(client, server, frames=0, fps=5.0)
    assert levels.tolist() == pytest.approx([16 * t for t in range(15)], abs=9)


def test_own_size_is_kept_with_zero(client, clip):
    result = client.queue({"load": load(width=0, height=0), "record": record(0)}).ok()
    assert json.loads(result.text("record"))["shape"] == [5, HEIGHT, WIDTH, 3]
    assert "5 frames, 96x64, 10 fps" in result.text("load") and "sound" in result.text("load")
    assert result.outputs["load"]["animated"] == [True]


def test_preview_plays_the_whole_clip_thinned_at_its_own_speed(client, clip):
    result = client.queue({"load": load(clip, frames=30, width=96, height=64), "record": record(0)}).ok()
    frames, fps = video_frames(client.view(result.outputs["load"]["images"][0]))
    assert frames.shape == (25, 64, 96, 3)
    levels = frames.mean((1, 2, 3))
    assert levels[[0, -1]] == pytest.approx([0, 8 * 29], abs=3) and (np.diff(levels) > 0).all()
    assert 25 / fps == pytest.approx(30 / FPS, rel=1e-3)


def test_video_socket_is_used_in_place_of_the_file(client, server, clip):
    """A stock Load Video feeds the socket; then our own trimmed output, whose frames live in memory."""
    prompt = {
        "stock": {"class_type": "LoadVideo", "inputs": {"file": clip}},
        "first": load(video=["stock", 0], start=10, frames=10, width=0, height=0),
        "load": load(video=["first", 2], start=2, frames=3),
        "record": record(0, "levels"),
    }
    client.queue(prompt).ok()
    import torch

    levels = torch.load(server.output / "levels.pt", weights_only=True).mean((1, 2, 3)) * 255
    assert levels.tolist() == pytest.approx([96, 104, 112], abs=2)


def test_trimmed_video_keeps_the_sound_of_its_frames(client, server, clip):
    """Second 0.5 to 1.5 of the clip: silence, then the tone."""
    prompt = {
        "load": load(start=5, frames=10),
        "parts": {"class_type": "GetVideoComponents", "inputs": {"video": ["load", 2]}},
        "record": {"class_type": "EX4DTestRecord", "inputs": {"value": ["parts", 1], "name": "sound"}},
        "fps": {"class_type": "EX4DTestRecord", "inputs": {"value": ["parts", 2], "name": "fps"}},
        "wave": {"class_type": "EX4DTestWaveform", "inputs": {"audio": ["parts", 1]}},
        "samples": {"class_type": "EX4DTestRecord", "inputs": {"value": ["wave", 0], "name": "wave"}},
    }
    result = client.queue(prompt).ok()
    assert json.loads(result.text("fps")) == FPS
    import torch

    wave = torch.load(server.output / "wave.pt", weights_only=True)[0, 0]
    assert len(wave) == pytest.approx(RATE, abs=2)
    quiet, loud = wave[: RATE // 2 - 2000].abs().max(), wave[RATE // 2 + 2000 :].abs().max()
    assert quiet < 0.02 and loud > 0.3


def waveform(client, server, prompt):
    """The sound of the node "load" in a prompt, (channels, samples)."""
    import torch

    prompt = prompt | {
        "parts": {"class_type": "GetVideoComponents", "inputs": {"video": ["load", 2]}},
        "wave": {"class_type": "EX4DTestWaveform", "inputs": {"audio": ["parts", 1]}},
        "samples": {"class_type": "EX4DTestRecord", "inputs": {"value": ["wave", 0], "name": "wave"}},
    }
    client.queue(prompt).ok()
    return torch.load(server.output / "wave.pt", weights_only=True)[0]


@pytest.mark.parametrize("socket", [False, True], ids=["file", "socket"])
def test_sound_that_begins_after_the_pictures_stays_late(client, server, socket):
    """The track begins at 0.5 s and its tone at 1.5 s; the clip shows 0.2 to 2.2 s."""
    if not (server.input / "late.mp4").exists():
        write_clip(server.input / "late.mp4", late=0.5)
    prompt = {"load": load("late.mp4", start=2, frames=20)}
    if socket:
        prompt = {
            "stock": {"class_type": "LoadVideo", "inputs": {"file": "late.mp4"}},
            "load": load("", start=2, frames=20, video=["stock", 0]),
        }
    wave = waveform(client, server, prompt)
    assert wave.shape[1] == 2 * RATE
    loud = (wave[0].abs() > 0.1).nonzero()[:, 0] / RATE
    assert float(loud[0]) == pytest.approx(1.3, abs=0.03)


def write_broadcast(path):
    """Three seconds as a receiver records them: AAC sound that is stereo for the first half, then mono."""
    import av

    write_clip(path.with_suffix(".mp4"))
    parts = []
    for layout in ("stereo", "mono"):
        data = io.BytesIO()
        with av.open(data, "w", format="adts") as container:
            stream = container.add_stream("aac", rate=RATE)
            stream.layout = layout
            for start in range(0, 3 * RATE // 2, 1024):
                tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(start, start + 1024) / RATE).astype(np.float32)
                wave = np.repeat(tone[None], 2 if layout == "stereo" else 1, axis=0)
                frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout=layout)
                frame.sample_rate, frame.pts = RATE, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(av.open(io.BytesIO(data.getvalue())))
    with av.open(str(path.with_suffix(".mp4"))) as pictures, av.open(str(path), "w") as target:
        video = target.add_stream_from_template(pictures.streams.video[0])
        audio = target.add_stream_from_template(parts[0].streams.audio[0])
        packets = [(packet.dts * packet.time_base, video, packet) for packet in pictures.demux(video=0) if packet.size]
        sound = [packet for part in parts for packet in part.demux(audio=0) if packet.size]
        for number, packet in enumerate(sound):
            packet.time_base, packet.pts, packet.dts = Fraction(1, RATE), 1024 * number, 1024 * number
            packets.append((Fraction(1024 * number, RATE), audio, packet))
        for _, stream, packet in sorted(packets, key=lambda item: item[0]):
            packet.stream = stream
            target.mux(packet)


def test_sound_whose_channels_change_on_the_way_is_whole(client, server):
    path = server.input / "broadcast.ts"
    write_broadcast(path)
    wave = waveform(client, server, {"load": load(path.name, frames=FRAMES)})
    assert wave.shape == (2, 3 * RATE)
    for start in (0.3, 2.0):
        part = wave[:, round(start * RATE) : round((start + 0.7) * RATE)]
        assert part.square().mean(1).sqrt().tolist() == pytest.approx([0.354, 0.354], abs=0.02)


def made_video(kind="colour", frames=60, fps=20.0, **sound):
    """The nodes of a VIDEO that no file is behind."""
    size = {"width": 96, "height": 64}
    return {
        "pictures": {"class_type": "EX4DTestImages", "inputs": {"kind": kind, "frames": frames} | size},
        "made": {"class_type": "CreateVideo", "inputs": {"images": ["pictures", 0], "fps": fps} | sound},
    }


@pytest.mark.parametrize("choice", [{"start": 7, "frames": 9}, {"frames": 0, "fps": 8.0, "width": 48, "height": 64}])
def test_video_made_of_pictures_is_cut_and_fitted_like_a_file(client, server, choice):
    """Against the core's reading of the same frames in a lossless file."""
    import torch

    from ex4d_core.video import load_video, save_video

    prompt = made_video() | {"load": load("", video=["made", 0], **choice), "record": record(0, "made")}
    whole = {"class_type": "EX4DTestRecord", "inputs": {"value": ["pictures", 0], "name": "pictures"}}
    result = client.queue(prompt | {"whole": whole}).ok()
    images, pictures = (torch.load(server.output / f"{n}.pt", weights_only=True) for n in ("made", "pictures"))
    save_video(server.base / "made.mkv", pictures, 20, lossless=True)
    values = {"width": 32, "height": 32, "fps": 0.0, "start": 0} | choice
    clip = load_video(
        server.base / "made.mkv",
        start=values["start"],
        count=values["frames"] or None,
        fps=values["fps"] or None,
        size=(values["width"], values["height"]),
    )
    assert torch.equal((images * 255).round().to(torch.uint8), clip.frames)
    assert [step[1:] for step in result.progress if step[0] == "load"][-1] == (len(images), len(images))


def test_video_made_of_pictures_keeps_the_sound_of_its_frames(client, server):
    tone = {"tone": {"class_type": "EX4DTestTone", "inputs": {"seconds": 3.0}}}
    prompt = made_video(audio=["tone", 0]) | tone
    wave = waveform(client, server, prompt | {"load": load("", start=20, frames=10, video=["made", 0])})
    assert wave.shape == (1, 4000)  # half a second from second 1 on, of a ramp over three
    assert wave[0, [0, -1]].tolist() == pytest.approx([1 / 3, 1.5 / 3], abs=1e-3)
    short = tone | {"tone": {"class_type": "EX4DTestTone", "inputs": {"seconds": 0.5}}}
    prompt |= short | {"load": load("", start=20, frames=10, video=["made", 0]), "record": record(0)}
    assert "sound" not in client.queue(prompt).ok().text("load")


def test_pictures_that_are_not_numbers_are_refused(client):
    prompt = made_video("nan", frames=5) | {"load": load("", video=["made", 0]), "record": record(0)}
    result = client.queue(prompt)
    assert result.status == "error" and "not numbers" in result.message


def test_cancel_reaches_a_video_made_of_pictures(client):
    prompt = made_video(frames=60) | {
        "load": load("", frames=0, width=64, height=64, video=["made", 0]),
        "record": record(0),
    }
    check_cancelled(client, prompt, "load", 3)


def test_a_clip_that_memory_cannot_hold_is_refused_before_it_is_decoded(client, clip):
    """30 frames of 2048x1024 take 189 MB as bytes and 755 MB as floats."""
    believe = lambda size: {"memory": {"class_type": "EX4DTestMemory", "inputs": {"gigabytes": size}}}  # noqa: E731
    prompt = {"load": load(frames=0, width=2048, height=1024), "record": record(0)}
    client.queue(believe(0.9)).ok()
    try:
        result = client.queue(prompt)
        fitting = client.queue({"load": load(frames=3, width=2048, height=1024), "record": record(0)})
    finally:
        client.queue(believe(0.0)).ok()
    assert result.status == "error" and not result.progress
    for words in ("30 frames of 2048x1024", "0.9 GB", "fewer frames or a smaller size"):
        assert words in result.message
    assert len(result.message) < 250 and "--" not in result.message
    fitting.ok()


def test_changed_file_is_read_again(client, server):
    path = server.input / "changing.mp4"
    write_clip(path, frames=5, level=10)
    first = mean_levels(client, server, file=path.name, frames=2)
    write_clip(path, frames=5, level=40)
    second = mean_levels(client, server, file=path.name, frames=2)
    assert first.tolist() == pytest.approx([0, 10], abs=2) and second.tolist() == pytest.approx([0, 40], abs=2)


def test_unchanged_file_is_not_read_again(client, clip):
    prompt = {"load": load(frames=7), "record": record(0)}
    client.queue(prompt).ok()
    again = client.queue(prompt | {"record": record(0, "other")}).ok()
    assert "load" not in again.executed


def secret(server):
    """A real film just outside the input folder, so that only the rule refuses it."""
    if not (server.base / "secret.mp4").exists():
        write_clip(server.base / "secret.mp4", frames=2)


OUTSIDE = [
    "../secret.mp4",
    "sub/../../secret.mp4",
    "..\\secret.mp4",
    "/etc/hostname",
    "C:\\Windows\\win.ini",
    "\\\\server\\share\\clip.mp4",
    "//server/share/clip.mp4",
    "~/clip.mp4",
    "../secret.mp4 [output]",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_outside_are_refused(client, server, name):
    secret(server)
    result = client.queue({"load": load(name), "record": record(0)})
    assert result.status == "refused", result
    assert "outside ComfyUI's" in result.message


def test_links_that_lead_outside_are_refused(client, server):
    secret(server)
    link = server.input / "link.mp4"
    try:
        if not link.is_symlink():
            os.symlink(server.base / "secret.mp4", link)
    except OSError:
        pytest.skip("this system refuses to create links")
    result = client.queue({"load": load("link.mp4"), "record": record(0)})
    assert result.status == "refused" and "outside ComfyUI's" in result.message


def test_what_is_offered_is_what_is_taken(client, server):
    """Links within the input folder, and not those that lead elsewhere or nowhere."""
    secret(server)
    source = server.input / "offered.mp4"
    shutil.copyfile(server.base / "secret.mp4", source)
    try:
        for name, target in {"inside": source, "away": server.base / "secret.mp4", "nowhere": "gone.mp4"}.items():
            (server.input / f"offered_{name}.mp4").symlink_to(target)
    except OSError:
        pytest.skip("this system refuses to create links")
    kind, *settings = client.object_info("EX4DLoadVideo")["EX4DLoadVideo"]["input"]["required"]["file"]
    offered = kind if isinstance(kind, list) else settings[0]["options"]
    names = [name for name in offered if name.startswith("offered")]
    assert names == ["offered.mp4", "offered_inside.mp4"]
    taken = [client.queue({"load": load(name), "record": record(0)}).status != "refused" for name in names]
    assert taken == [True, True]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty.mp4"), (b"this is a text, not a film" * 50, "empty.mp4")],
    ids=["empty", "text"],
)
def test_unreadable_files_are_refused_in_a_sentence(client, server, content, words):
    (server.input / "empty.mp4").write_bytes(content)
    result = client.queue({"load": load("empty.mp4"), "record": record(0)})
    assert result.status == "error" and words in result.message and len(result.message) < 400


def test_missing_and_unchosen_files(client):
    missing = client.queue({"load": load("never-there.mp4"), "record": record(0)})
    assert missing.status == "refused" and "never-there.mp4" in missing.message
    unchosen = client.queue({"load": load(""), "record": record(0)})
    assert unchosen.status == "error" and "No video is chosen" in unchosen.message


def test_missing_file_is_no_matter_while_a_video_is_connected(client, clip):
    prompt = {
        "stock": {"class_type": "LoadVideo", "inputs": {"file": clip}},
        "load": load("never-there.mp4", video=["stock", 0]),
        "record": record(0),
    }
    assert json.loads(client.queue(prompt).ok().text("record"))["shape"] == [5, 32, 32, 3]


def test_damaged_sound_is_left_out(client, server, clip):
    """Every packet of the sound is noise; the pictures are whole."""
    import av

    path = server.input / "noise.mkv"
    with av.open(str(server.input / clip)) as source, av.open(str(path), mode="w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                noise = av.Packet(b"\xff\x5a\x13\xc7" * 40)
                noise.pts, noise.dts, noise.time_base = packet.pts, packet.dts, packet.time_base
                packet, index = noise, packet.stream.index
            else:
                index = packet.stream.index
            packet.stream = streams[index]
            target.mux(packet)
    result = client.queue({"load": load(path.name), "record": record(0)}).ok()
    assert "5 frames" in result.text("load") and "sound" not in result.text("load")


def test_trimmed_video_of_newer_hosts_is_trimmed(client, server, clip):
    """Second 1 to 2 of the clip, where the host's videos can be trimmed without a copy."""
    prompt = {
        "stock": {"class_type": "LoadVideo", "inputs": {"file": clip}},
        "cut": {"class_type": "EX4DTestTrimVideo", "inputs": {"video": ["stock", 0], "start": 1.0, "duration": 1.0}},
        "load": load(video=["cut", 0], frames=0),
        "record": record(0, "levels"),
    }
    client.queue(prompt).ok()
    import torch

    levels = torch.load(server.output / "levels.pt", weights_only=True).mean((1, 2, 3)) * 255
    assert levels.tolist() == pytest.approx([80 + 8 * t for t in range(10)], abs=2)


def test_too_few_frames_says_how_many_there_are(client, clip):
    result = client.queue({"load": load(start=20, frames=49), "record": record(0)})
    assert result.status == "error" and "30 frames" in result.message


@pytest.fixture()
def long_clip(server):
    """Long enough that something can happen while it is loaded."""
    path = server.input / "long.mp4"
    if not path.exists():
        write_clip(path, frames=3000, level=0, codec="ac3")  # ten times as fast as aac
    return path.name


def beside(node, seconds, fail=False):
    """A node of the host's kind that works or fails while ``node`` is loading, which the host starts first."""
    sink = {"class_type": "EX4DTestRecord", "inputs": {"value": ["work", 0], "name": "work"}}
    return {
        "load": node,
        "record": record(0),
        "work": {"class_type": "EX4DTestWait", "inputs": {"seconds": seconds, "fail": fail}},
        "worked": sink,
    }


def test_two_clips_load_side_by_side(client, clip):
    events = []
    prompt = {
        "one": load(start=1),
        "two": load(start=2),
        "r1": {"class_type": "EX4DTestRecord", "inputs": {"value": ["one", 0], "name": "one"}},
        "r2": {"class_type": "EX4DTestRecord", "inputs": {"value": ["two", 0], "name": "two"}},
    }
    result = client.queue(prompt, on_message=lambda kind, data: events.append((kind, data.get("node")))).ok()
    ended = next(i for i, event in enumerate(events) if event in (("executed", "one"), ("executed", "two")))
    assert {("executing", "one"), ("executing", "two")} <= set(events[:ended]), events
    assert all(result.outputs[name]["images"] for name in ("one", "two"))


def test_one_video_in_memory_is_read_by_two_nodes_at_once(client, server, long_clip):
    """The host gives both nodes one stream with one position."""
    import torch

    size = {"frames": 400, "width": 96, "height": 64, "video": ["memory", 0]}
    prompt = {
        "stock": {"class_type": "LoadVideo", "inputs": {"file": long_clip}},
        "memory": {"class_type": "EX4DTestVideoInMemory", "inputs": {"video": ["stock", 0]}},
        "one": load("", start=1, **size),
        "two": load("", start=2, **size),
        "r1": {"class_type": "EX4DTestRecord", "inputs": {"value": ["one", 0], "name": "one"}},
        "r2": {"class_type": "EX4DTestRecord", "inputs": {"value": ["two", 0], "name": "two"}},
    }
    result = client.queue(prompt).ok()
    assert all("sound" in result.text(name) for name in ("one", "two"))
    one, two = (torch.load(server.output / f"{name}.pt", weights_only=True) for name in ("one", "two"))
    assert torch.equal(one[1:], two[:-1])


def test_cancel_reaches_a_clip_and_what_runs_beside_it(client, clip, long_clip):
    pressed = []

    def press(kind, data):
        if kind == "progress" and data.get("node") == "load" and not pressed:
            pressed.append(True)
            client.interrupt()

    result = client.queue(beside(load(long_clip, frames=0, width=256, height=256), 10.0), on_message=press)
    assert pressed and result.status == "interrupted"
    assert result.executed == ["load", "work"]
    assert not result.outputs, "the node beside it was not cancelled"
    client.queue({"load": load(start=3), "record": record(0)}).ok()


def test_a_clip_stops_loading_when_another_node_fails(client, server, clip, long_clip):
    films = lambda: set((server.base / "temp").glob("ex4d_*.mp4"))  # noqa: E731
    before = films()
    result = client.queue(beside(load(long_clip, frames=0, width=256, height=256), 0.0, fail=True))
    assert result.status == "error" and result.error["node_type"] == "EX4DTestWait"
    client.queue(beside(load(start=4), 0.0)).ok()  # starts when nothing of the prompt before runs any more
    assert len(films() - before) == 1, "the clip was loaded to its end"


def test_an_animated_webp_is_listed_and_loaded_and_a_still_one_is_not_listed(client, server):
    from PIL import Image

    levels = [Image.new("RGB", (WIDTH, HEIGHT), (8 * t, 8 * t, 8 * t)) for t in range(12)]
    levels[0].save(server.input / "film.webp", save_all=True, append_images=levels[1:], duration=100, lossless=True)
    levels[5].save(server.input / "still.webp", lossless=True)
    listed = json.dumps(client.object_info("EX4DLoadVideo"))
    assert "film.webp" in listed and "still.webp" not in listed
    shown = mean_levels(client, server, file="film.webp", start=2, frames=5)
    assert shown.tolist() == pytest.approx([16, 24, 32, 40, 48], abs=2)


@pytest.mark.parametrize("socket", [False, True])
def test_a_pause_in_a_recording_does_not_change_its_rate(client, server, socket):
    import av

    with av.open(str(server.input / "pause.mp4"), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt, video.options = WIDTH, HEIGHT, "yuv420p", {"crf": "0"}
        for t in range(20):
            grey = np.full((HEIGHT, WIDTH, 3), 8 * t, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = t + 600 * (t >= 10), Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    prompt = {"load": load("pause.mp4"), "record": record(0, "paused"), "rate": record(1, "rate")}
    if socket:
        prompt["source"] = {"class_type": "LoadVideo", "inputs": {"file": "pause.mp4"}}
        prompt["load"]["inputs"]["video"] = ["source", 0]
    result = client.queue(prompt).ok()
    import torch

    levels = torch.load(server.output / "paused.pt", weights_only=True).mean((1, 2, 3)) * 255
    assert levels.tolist() == pytest.approx([0, 8, 16, 24, 32], abs=2)
    assert json.loads(result.text("rate")) == pytest.approx(FPS)
