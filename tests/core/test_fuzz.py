"""Every reader on damaged files: a result, or one of our sentences; any other exception is a fault of ours.

None may take much more memory than its small file, and pytest's time limit ends what hangs. A few seconds with fixed seeds here.
By hand for as long as you like, each reader for so many seconds, with other seeds:

    EX4D_FUZZ_SECONDS=3600 python -m pytest tests/core/test_fuzz.py -n 0 -k video

A failure names the seed, and leaves the file in the folder that EX4D_FUZZ_KEEP names (else the test's own).
"""

from __future__ import annotations

import copy
import gc
import io
import json
import os
import random
import shutil
import struct
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from harness.peak import growth
from hypothesis import given, settings
from hypothesis import strategies as st
from media import numbered, write_clip, write_exr, write_png16
from PIL import Image

from ex4d_core.animate.meshes import MeshClip
from ex4d_core.animate.read import read_mesh
from ex4d_core.animate.save import save_mesh_clip
from ex4d_core.camera import Intrinsics
from ex4d_core.camera_io import FORMATS
from ex4d_core.commands.jobs.file import read_jobs
from ex4d_core.depth.depthcrafter.loading import check_safetensors
from ex4d_core.depth.files import load_depth
from ex4d_core.depth.source import KINDS
from ex4d_core.errors import EX4DError
from ex4d_core.evaluation.benchmark.cases import read_index, read_source, read_target
from ex4d_core.evaluation.benchmark.results import read_report
from ex4d_core.pointmap import PointMap, load_pointmap, save_pointmap
from ex4d_core.pointmap.formats import load_points, save_points
from ex4d_core.training import cache
from ex4d_core.training.config import load_config
from ex4d_core.training.prepare import read_manifest
from ex4d_core.training.trackers import load_tracks, save_tracks
from ex4d_core.training.trackers.tracks import Tracks
from ex4d_core.trajectory import Trajectory, parse_document
from ex4d_core.video import clip_sound, load_video, probe_video, save_video
from ex4d_core.wan.checkpoint import convert, load_adapter
from ex4d_core.wan.fourdnex import checkpoint as fourdnex
from ex4d_core.wan.videos import read_color_and_mask
from ex4d_core.wan.weights import check_readable, read_tensors, tensor_shapes

SECONDS = float(os.environ.get("EX4D_FUZZ_SECONDS", "0"))
KEEP = os.environ.get("EX4D_FUZZ_KEEP")
LENS = Intrinsics.default(64, 48)
FILM = torch.zeros((3, 48, 64, 3), dtype=torch.uint8)
FRAMES = 6
MOST_MEMORY = 400 * 2**20
"""Bytes that a test's process may grow by; the files are of some kilobytes, what reads them is loaded meanwhile."""


@dataclass(frozen=True)
class Reader:
    """What reads a kind of file.

    Attributes:
        make: writes whole files of the kind into a folder; they are damaged one by one.
        read: reads one; a folder of pictures is given the folder with one of them damaged.
        cases: so many seeds in CI.
        in_folder: whether ``read`` gets the folder of the file.
        together: whether the other whole files of the kind lie beside the damaged one.
    """

    make: Callable[[Path], list[Path]]
    read: Callable[[Path], object]
    cases: int
    in_folder: bool = False
    together: bool = False


def damaged(data: bytes, draw: random.Random) -> bytes:
    """A copy with a few faults as disks, networks and programs make them."""
    result = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        if not result:
            break
        # Headers are a small part of a file and most of what can go wrong.
        limit = draw.choice((64, 512, len(result)))
        at = draw.randrange(min(limit, len(result)))
        kind = draw.randrange(8)
        length = draw.choice((1, 1, 2, 4, 16, 100))
        if kind < 3:
            result[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256), result[at] ^ 1 << draw.randrange(8)))
        elif kind == 3:
            result[at : at + length] = bytes(draw.randrange(256) for _ in range(length))
        elif kind == 4:
            del result[at : at + length]
        elif kind == 5:
            result[at:at] = result[at : at + length]
        elif kind == 6:
            result[at : at + 4] = draw.choice(
                (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f")
            )
        else:
            del result[draw.randrange(len(result)) :]
    return bytes(result)


ODD = (
    None,
    True,
    -1,
    0,
    1,
    1e-300,
    1e300,
    10**40,
    float("nan"),
    "",
    "x",
    "1",
    [],
    {},
    [[]],
    [None],
    [1, 2, 3],
    "é\ud800",
)


def rewritten(data: bytes, draw: random.Random) -> bytes:
    """JSON in which values are replaced, left out or exchanged, or which is damaged like any file."""
    if draw.random() < 0.3:
        return damaged(data, draw)
    document = json.loads(data)
    for _ in range(draw.choice((1, 1, 2, 3))):
        places = list(_places(document))
        if not places:
            break
        holder, key = draw.choice(places)
        if draw.random() < 0.2:
            del holder[key]
        elif draw.random() < 0.3:
            other, name = draw.choice(places)
            holder[key] = json.loads(json.dumps(other[name]))
        else:
            holder[key] = copy.deepcopy(draw.choice(ODD))  # its own, or later rounds would change the list
    return json.dumps(document).encode("utf-8", "surrogatepass" if draw.random() < 0.5 else "replace")


def _places(value: object) -> Iterator[tuple[dict | list, object]]:
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


# -- whole files ------------------------------------------------------------------------------------------------------


def videos(folder: Path) -> list[Path]:
    pictures = [numbered(i) for i in range(FRAMES)]
    made = [
        write_clip(folder / f"a.{suffix}", pictures, sound=0.2, gop=3) for suffix in ("mp4", "mkv", "ts", "avi", "mov")
    ]
    made.append(write_clip(folder / "a.flv", pictures, gop=3))
    made.append(write_clip(folder / "a.mpg", pictures, codec="mpeg2video", rate=Fraction(25)))
    made.append(write_clip(folder / "a.webm", pictures, codec="libvpx", gop=3))
    for name in ("a.gif", "a.webp", "a.apng"):
        images = [Image.fromarray(picture) for picture in pictures]
        images[0].save(folder / name, save_all=True, append_images=images[1:], duration=40)
        made.append(folder / name)
    return made


def titled_videos(folder: Path) -> list[Path]:
    """Films whose titles are in encodings of old programs."""
    made = []
    for suffix in ("mp4", "mkv", "avi", "mov", "flv"):
        for encoding, title in (
            ("latin-1", "Fußgänger"),
            ("shift-jis", "夏の空"),
            ("cp1251", "Зима"),
            ("big5", "電影"),
        ):
            path = folder / f"{encoding}.{suffix}"
            with av.open(str(path), "w") as file:
                file.metadata.update(title="T" * 16, comment="T" * 16, artist="T" * 16)
                stream = file.add_stream("libx264", rate=30)
                stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
                for index in range(FRAMES):
                    file.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(index), format="rgb24")))
                file.mux(stream.encode(None))
            text = title.encode(encoding).ljust(16, b" ")
            path.write_bytes(path.read_bytes().replace(b"T" * 16, text[:16]))
            made.append(path)
    return made


def read_video(path: Path) -> None:
    each(
        lambda: probe_video(path),
        lambda: probe_video(path, thorough=True),
        lambda: load_video(path, size=(32, 32)),
        lambda: load_video(path, start=2, count=1, size=(32, 32)),
        lambda: load_video(io.BytesIO(path.read_bytes()), count=2, size=(32, 32)),
        lambda: clip_sound(path, 0.05, 0.1),
        lambda: save_video(path.parent / "out" / "copy.mp4", FILM, 30, audio_from=path),
    )


def pictures(folder: Path) -> list[Path]:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(numbered(3))
    names = [folder / f"a.{suffix}" for suffix in ("png", "jpg", "webp", "bmp", "tif")]
    for name in names:
        picture.save(name, **({} if name.suffix == ".bmp" else {"exif": exif}))
    return names


MAPS = 2 + np.arange(FRAMES, dtype=np.float32)[:, None, None] + np.linspace(0, 1, 48, dtype=np.float32)[None, :, None]
MAPS = np.broadcast_to(MAPS, (FRAMES, 48, 64)).copy()


def depth_arrays(folder: Path) -> list[Path]:
    lens = np.array([[50, 0, 32], [0, 50, 24], [0, 0, 1.0]])
    np.savez(folder / "a.npz", depth=MAPS, intrinsics=lens, disparity_range=np.array([0.0, 1.0]))
    np.savez_compressed(folder / "b.npz", depths=MAPS.astype(np.float16), intrinsic=np.tile(lens, (FRAMES, 1, 1)))
    np.savez_compressed(folder / "c.npz", disparity=1 / MAPS)
    np.save(folder / "d.npy", MAPS)
    return [folder / name for name in ("a.npz", "b.npz", "c.npz", "d.npy")]


def depth_pictures(folder: Path) -> list[Path]:
    write_png16(folder / "a.png", (MAPS[0] * 1000).astype(np.uint16))
    Image.fromarray(MAPS[0]).save(folder / "b.tif")
    Image.fromarray((MAPS[0] * 1000).astype(np.uint16)).save(folder / "c.tif")
    np.save(folder / "d.npy", MAPS[0])
    (folder / "e.pfm").write_bytes(b"Pf\n64 48\n-1.0\n" + MAPS[0].tobytes())
    write_exr(folder / "f.exr", {"Z": MAPS[0], "R": MAPS[0]})
    return [folder / name for name in ("a.png", "b.tif", "c.tif", "d.npy", "e.pfm", "f.exr")]


def depth_films(folder: Path) -> list[Path]:
    pictures = [numbered(i) for i in range(FRAMES)]
    made = [write_clip(folder / "a.mkv", pictures, codec="ffv1", pixels="gray16le", tagged=False)]
    return [*made, write_clip(folder / "b.mov", pictures, codec="prores_ks", pixels="yuv422p10le")]


def camera_files(suffixes: tuple[str, ...]) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        path = Trajectory.preset("arc_over", frames=FRAMES, fps=24, intrinsics=LENS).for_scene(LENS)
        made = []
        for name, entry in FORMATS.items():
            if entry.write is not None and entry.read is not None and entry.suffixes[0] in suffixes:
                made.append(path.save(folder / f"{name}{entry.suffixes[0]}", format=name))
        if ".json" in suffixes:
            cameras = [{"camera_to_world": np.eye(4).ravel().tolist(), "fov": 50} for _ in range(FRAMES)]
            (folder / "viewer.json").write_text(
                json.dumps({"camera_path": cameras, "fps": 24, "render_width": 64, "render_height": 48})
            )
            made.append(folder / "viewer.json")
        if ".chan" in suffixes:
            (folder / "h.chan").write_text("".join(f"{i / 8} 1 5 0 {i} 0 50\n" for i in range(FRAMES)))
            made.append(folder / "h.chan")
        return made

    return make


def colmap_model(folder: Path) -> list[Path]:
    """A model as text."""
    (folder / "cameras.txt").write_text("# lenses\n1 PINHOLE 64 48 50 50 32 24\n2 OPENCV 64 48 50 50 32 24 0 0 0 0\n")
    poses = "".join(f"{i} 1 0 0 0 {i / 10} 0 0 {1 + i % 2} frame_{i:03d}.png\n\n" for i in range(1, FRAMES))
    (folder / "images.txt").write_text(poses)
    return [folder / "cameras.txt", folder / "images.txt"]


def colmap_binary(folder: Path) -> list[Path]:
    """The same in binary."""
    lens = struct.pack("<QiiQQ4d", 1, 1, 1, 64, 48, 50, 50, 32, 24)
    (folder / "cameras.bin").write_bytes(lens)
    images = [
        struct.pack("<i7di", i, 1, 0, 0, 0, i / 10, 0, 0, 1) + b"%d.png\0" % i + struct.pack("<Q", 0) for i in range(4)
    ]
    (folder / "images.bin").write_bytes(struct.pack("<Q", len(images)) + b"".join(images))
    return [folder / "cameras.bin", folder / "images.bin"]


def read_camera(path: Path) -> None:
    each(
        lambda: Trajectory.load(path, intrinsics=LENS, size=(64, 48)).for_scene(LENS),
        lambda: Trajectory.load(path, fps=12.0),
    )


def read_document(path: Path) -> None:
    parse_document(path.read_bytes().decode("utf-8", "replace"))


def weights(folder: Path) -> list[Path]:
    from safetensors.torch import save_file

    state = {"a": torch.arange(12.0).reshape(3, 4), "b": torch.ones(5, dtype=torch.bfloat16)}
    save_file(state, folder / "a.safetensors")
    torch.save(state, folder / "b.ckpt")
    torch.save({"state_dict": state}, folder / "c.pt", _use_new_zipfile_serialization=False)
    return [folder / name for name in ("a.safetensors", "b.ckpt", "c.pt")]


def adapters(folder: Path) -> list[Path]:
    """A small whole adapter, as the published file is and as ``convert`` writes it."""
    from safetensors.torch import save_file
    from test_convert import adapter_state

    torch.manual_seed(0)
    state = adapter_state()
    torch.save(state, folder / "a.ckpt")
    save_file(state, folder / "b.safetensors")
    return [folder / name for name in ("a.ckpt", "b.safetensors")]


def read_adapter(path: Path) -> None:
    each(lambda: load_adapter(path), lambda: convert(path, path.parent / "out" / "made.safetensors"))


def fourdnex_adapters(folder: Path) -> list[Path]:
    """A small whole adapter of 4DNeX in one file, as ``convert`` writes it and pickled, and its vectors alone."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    state = {fourdnex.VECTORS_KEY: torch.randn(2, 8)}
    for theirs, ours in fourdnex.NAMES.items():
        if ours in fourdnex.ATTENTION:
            for side, shape in (("A", (2, 8)), ("B", (8, 2))):
                state[f"transformer.blocks.0.{theirs}.lora_{side}.weight"] = torch.randn(shape)
    save_file(state, folder / "a.safetensors")
    torch.save(state, folder / "b.pt")
    torch.save(state[fourdnex.VECTORS_KEY], folder / "c.pt")
    return [folder / name for name in ("a.safetensors", "b.pt", "c.pt")]


def read_fourdnex(path: Path) -> None:
    if path.name == "c.pt":
        fourdnex.load_vectors(path)
        return
    target = path.parent / "out" / "made.safetensors"
    each(lambda: fourdnex.load_adapter(path), lambda: fourdnex.convert(path, target))


def read_weights(path: Path) -> None:
    each(*(lambda read=read: read(path) for read in (check_readable, tensor_shapes, read_tensors)))


def rendered_frames(folder: Path) -> list[Path]:
    color = np.stack([numbered(i) for i in range(FRAMES)])
    np.savez_compressed(folder / "frames.npz", color=color, mask=color[..., 0])
    return [folder / "frames.npz", write_clip(folder / "color.mp4", color)]


def read_rendered(path: Path) -> None:
    read_color_and_mask(path, path if path.suffix != ".npz" else None)


def pointmaps(folder: Path) -> list[Path]:
    """Of both compressions, and with an array missing."""
    draw = torch.Generator().manual_seed(1)
    points = torch.rand((2, 8, 12, 3), generator=draw)
    map_ = PointMap.from_pictures(points, points, valid=points[..., 0] > 0.1)
    paths = [save_pointmap(folder / f"{packed}.npz", map_, compressed=packed) for packed in (True, False)]
    np.savez(folder / "foreign.npz", world_points=points.numpy(), images=points.movedim(-1, 1).numpy())
    return [*paths, folder / "foreign.npz"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = write_clip(tmp_path_factory.mktemp("clip") / "v.mp4", [numbered(i) for i in range(FRAMES)])
    return {FRAMES: load_video(path), 1: load_video(path, count=1)}


def read_point_pictures(path: Path) -> object:
    """By their index, whichever of them is damaged."""
    return load_points(path.with_name("shot.points.json"))


def point_files(format: str) -> Callable[[Path], list[Path]]:
    """A frame of points, and what belongs to it; some pixels have none."""

    def make(folder: Path) -> list[Path]:
        xyz = torch.rand((1, 6, 8, 3), generator=torch.Generator().manual_seed(0))
        return save_points(folder / "shot", PointMap.from_pictures(xyz, xyz, valid=xyz[..., 0] > 0.2), format=format)

    return make


def meshes(folder: Path) -> list[Path]:
    corners = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
    sides = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    texture = np.full((8, 8, 3), 90, np.uint8)
    clip = MeshClip(corners, sides, uv=np.full((4, 3, 2), 0.5), texture=texture)
    (folder / "mesh.obj").write_text("v 0 0 0 1 0 0\nv 1 0 0 1 0 0\nv 0 1 0 1 0 0\nf 1/1/1 2/2/2 3/3/3\n")
    header = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    header += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    (folder / "text.ply").write_text(header + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    written = [save_mesh_clip(folder / "mesh", clip, format=kind).files[0] for kind in ("glb", "ply frame")]
    return [folder / "mesh.obj", folder / "text.ply", *written]


def tracks(folder: Path) -> list[Path]:
    """As ``save_tracks`` packs them and as numpy does."""
    made = Tracks(np.zeros((FRAMES, 5, 2), np.float32), np.ones((FRAMES, 5), bool))
    save_tracks(folder / "a.npz", made)
    np.savez(folder / "b.npz", track_path=made.path, track_visibility=made.seen)
    return [folder / "a.npz", folder / "b.npz"]


def lists(folder: Path) -> list[Path]:
    """Jobs of a batch, videos to prepare, a configuration: one line of JSON each, and several."""
    matrix = {"shot": ["a", "b"], "angle": [-30, 30]}
    job = {"command": "recon", "matrix": matrix, "input_video": "{shot}.mp4", "cam": ["orbit:angle={angle}"]}
    video = {"video": "a.mp4", "caption": "a hill", "depth": "a.npz", "split": "train"}
    config = {
        "output": "out",
        "seed": 3,
        "model": {"base": "wan"},
        "data": {"cache": "clips"},
        "optimiser": {"steps": 9},
    }
    for name, value in {"jobs": job, "videos": video, "config": config}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
        (folder / f"{name}.jsonl").write_text(f"{json.dumps(value)}\n" * 2)
    (folder / "config.jsonl").unlink()
    return sorted(folder.iterdir())


def read_list(path: Path) -> None:
    readers = {"jobs": lambda: read_jobs(path, ("recon",)), "videos": lambda: read_manifest(path)}
    readers.get(path.stem, lambda: load_config(path))()


def prepared_clips(folder: Path) -> list[Path]:
    clip = {"name": "a", "file": "a.safetensors", "split": "train", "variants": 2, "shape": [13, 32, 48]}
    (folder / cache.KEY).write_text(json.dumps({"version": cache.VERSION}))
    (folder / cache.INDEX).write_text(f"{json.dumps(clip)}\n" * 2)
    return [folder / cache.KEY, folder / cache.INDEX]


def benchmark_files(folder: Path) -> list[Path]:
    """A case's clip and truth, the list of cases, and a report."""
    arrays = {"rgb": np.zeros((2, 4, 4, 3), np.uint8), "depth": np.ones((2, 4, 4), np.float32)}
    arrays |= {"world_to_camera": np.tile(np.eye(4), (2, 1, 1)), "lens": np.full((2, 4), 4.0)}
    np.savez(folder / "source.npz", **arrays)
    np.savez_compressed(folder / "target_0-30.npz", **arrays, angle=np.zeros(2), visible=np.ones((2, 4, 4), bool))
    (folder / "benchmark.json").write_text(json.dumps({"name": "a", "cases": {"b": ["0-30"]}}))
    (folder / "report.json").write_text(json.dumps({"mean": {}, "settings": {"benchmark": "a"}}))
    return sorted(folder.iterdir())


def read_benchmark(path: Path) -> None:
    case = path.parent.parent, path.parent.name
    {
        "source": lambda: read_source(*case),
        "target_0-30": lambda: read_target(*case, "0-30"),
        "benchmark": lambda: read_index(path.parent),
        "report": lambda: read_report(path),
    }[path.stem]()


READERS = {
    "tracks": Reader(tracks, load_tracks, 150),
    "lists": Reader(lists, read_list, 500),
    "prepared clips": Reader(prepared_clips, cache.open_cache, 200, in_folder=True, together=True),
    "benchmark": Reader(benchmark_files, read_benchmark, 300),
    "headers of weights": Reader(lambda folder: weights(folder)[:1], check_safetensors, 100),
    "meshes": Reader(meshes, read_mesh, 400),
    "video": Reader(videos, read_video, 250),
    "titles": Reader(titled_videos, read_video, 40),
    "pictures": Reader(pictures, lambda path: load_video(path, size=(32, 32)), 150, in_folder=True),
    "depth arrays": Reader(depth_arrays, lambda _: None, 300),
    "depth pictures": Reader(depth_pictures, lambda _: None, 250, in_folder=True),
    "depth films": Reader(depth_films, lambda _: None, 80),
    "weights": Reader(weights, read_weights, 400),
    "adapters": Reader(adapters, read_adapter, 200),
    "adapters of 4DNeX": Reader(fourdnex_adapters, read_fourdnex, 150),
    "rendered frames": Reader(rendered_frames, read_rendered, 120),
    "point maps": Reader(pointmaps, load_pointmap, 400),
    "points in ply": Reader(point_files("ply points"), load_points, 200, together=True),
    "points in pictures": Reader(point_files("16-bit pictures"), read_point_pictures, 60, together=True),
    "points in exr": Reader(point_files("exr"), load_points, 60, together=True),
    "camera npz": Reader(camera_files((".npz",)), read_camera, 400),
    "camera txt": Reader(camera_files((".txt",)), read_camera, 400),
    "camera chan": Reader(camera_files((".chan",)), read_camera, 400),
    "camera json": Reader(camera_files((".json",)), read_camera, 800),
    "camera gltf": Reader(camera_files((".gltf",)), read_camera, 600),
    "camera glb": Reader(camera_files((".glb",)), read_camera, 400),
    "camera scripts": Reader(camera_files((".jsx", ".py")), read_camera, 400),
    "camera nk": Reader(camera_files((".nk",)), read_camera, 400),
    "camera usd": Reader(camera_files((".usda",)), read_camera, 400),
    "camera model": Reader(colmap_model, read_camera, 400, in_folder=True, together=True),
    "camera binary model": Reader(colmap_binary, read_camera, 400, in_folder=True, together=True),
    "path document": Reader(lambda folder: camera_files((".json",))(folder)[:1], read_document, 800),
}


def seeds(cases: int) -> Iterator[int]:
    """Fixed ones, or new ones for as long as was asked for."""
    if not SECONDS:
        yield from range(cases)
        return
    end, first = time.monotonic() + SECONDS, random.randrange(10**9)
    while time.monotonic() < end:
        yield first
        first += 1


@pytest.fixture(scope="module", autouse=True)
def older_objects_are_kept() -> Iterator[None]:
    """They are looked through once; each measurement looks through what has been made since, in a twentieth of the time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """No damaged file may make its reader take memory without bounds."""
    with growth() as grown:
        yield
    print(f"{(grown.bytes or 0) / 2**20:.0f} MB more")
    assert grown.bytes is None or grown.bytes < MOST_MEMORY


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_end_in_a_result_or_in_our_sentence(tmp_path, clip, name):
    reader = READERS[name]
    for folder in ("whole", "spoiled", "spoiled/out"):
        (tmp_path / folder).mkdir()
    whole = [(path, path.read_bytes()) for path in reader.make(tmp_path / "whole")]
    read = reader.read
    if name.startswith("depth"):

        def read(path):
            of = clip[1 if reader.in_folder else FRAMES]
            each(
                *(
                    lambda kind=kind: load_depth(path, of, kind=kind)
                    for kind in KINDS + (None,) * (path.suffix == ".npz")
                )
            )

    told = tried = 0
    for path, data in whole:  # what is not damaged is read
        spoiled = (tmp_path / "whole" if reader.together else tmp_path / "spoiled") / path.name
        spoiled.write_bytes(data)
        told += refused(read, spoiled.parent if reader.in_folder else spoiled)
        if not reader.together:
            spoiled.unlink()
    assert told == 0, "whole files are refused"
    for path, data in whole * reader.together:
        (tmp_path / "spoiled" / path.name).write_bytes(data)
    for seed in seeds(reader.cases):
        draw, tried = random.Random(seed), tried + 1
        path, data = draw.choice(whole)
        spoiled = tmp_path / "spoiled" / path.name
        mutate = rewritten if path.suffix in (".json", ".gltf") else damaged
        spoiled.write_bytes(mutate(data, draw))
        try:
            told += refused(read, spoiled.parent if reader.in_folder else spoiled)
        except BaseException as error:
            kept = shutil.copy(spoiled, KEEP or tmp_path)
            raise AssertionError(f"{name}, seed {seed}: {type(error).__name__} of {kept}") from error
        spoiled.write_bytes(data) if reader.together else spoiled.unlink()
    print(f"{name}: {tried} files, {told} refused")
    assert told, "nothing was refused, so nothing was damaged"


CAMERA_FILES = [name for name, entry in FORMATS.items() if entry.write and entry.read and not entry.is_folder]
ODD_TEXTS = (
    *("", "-", ".", "nan", "1e999", "2e9", "-1", "0", "x1", "def", "\n", "\0"),
    *("{", "}", "[", "(", '"', '"' * 3, "#", "@", "<"),
)


@pytest.fixture(scope="module")
def cameras(tmp_path_factory) -> dict[str, tuple[Path, bytes]]:
    """A whole file of every format."""
    folder = tmp_path_factory.mktemp("cameras")
    path = Trajectory.preset("arc_over", frames=FRAMES, fps=24, intrinsics=LENS).for_scene(LENS)
    saved = {name: path.save(folder / f"{name}{FORMATS[name].suffixes[0]}", format=name) for name in CAMERA_FILES}
    return {name: (file, file.read_bytes()) for name, file in saved.items()}


@pytest.mark.parametrize("name", CAMERA_FILES)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(ODD_TEXTS) | st.text(max_size=9))))
def test_edited_camera_files_end_in_a_path_or_in_our_sentence(cameras, name, edits):
    """By hypothesis, which finds the smallest edit at fault: at a share of the file so many bytes become a text."""
    file, data = cameras[name]
    for share, count, text in edits:
        at = int(share * len(data))
        data = data[:at] + text.encode("utf-8", "surrogatepass") + data[at + count :]
    file.write_bytes(data)
    assert not refused(read_camera, file) or edits


def refused(read: Callable[[Path], object], path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's about numbers that overflow on the way to being refused
        try:
            read(path)
        except EX4DError as error:
            assert str(error).endswith((".", "?", "!")) and "Traceback" not in str(error)
            return True
    return False


def each(*readings: Callable[[], object]) -> None:
    """All of them, whatever the others did; then the last refusal is told."""
    refusal = None
    for reading in readings:
        try:
            reading()
        except EX4DError as error:
            refusal = error
    if refusal is not None:
        raise refusal
