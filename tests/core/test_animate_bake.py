"""One texture for a moving mesh from its video: what was seen is what was painted, what was not is filled."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from ex4d_core.animate.bake import Baked, bake_texture, unwrap
from ex4d_core.animate.bake.atlas import make_atlas
from ex4d_core.animate.bake.fill import spread
from ex4d_core.animate.meshes import MeshClip
from ex4d_core.camera import Intrinsics
from ex4d_core.demo_scene.bodies import Body
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.render import Triangles, render_triangles
from ex4d_core.render.triangles import looked_up
from ex4d_core.trajectory import Trajectory

LENS = Intrinsics.default(128, 128)
FRAMES = 3

pytestmark = pytest.mark.usefixtures("one_thread")


def halved(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every face cut into four: points (..., V, 3), faces."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    edges, number = np.unique(pairs, axis=0, return_inverse=True)
    a, b, c = (number.ravel()[k * len(faces) : (k + 1) * len(faces)] + points.shape[-2] for k in range(3))
    finer = np.concatenate([points, points[..., edges, :].mean(-2)], -2)
    i, j, k = faces.T
    return finer, np.concatenate([np.stack(f, 1) for f in ((i, a, c), (j, b, a), (k, c, b), (a, b, c))])


@cache
def filmed() -> tuple[MeshClip, np.ndarray, np.ndarray, np.ndarray]:
    """A jelly that turns, as a mesh of few faces: the clip, its rest points, and its film with masks, painted finely."""
    body = Body("jelly", 2)
    rest, faces = body.surface(9)
    points = np.stack([body.moved(rest, time) for time in np.linspace(0, 1, FRAMES)])
    fine, own, at = points, faces, rest
    for _ in range(3):
        finer, _ = halved(at, own)
        fine, own = halved(fine, own)
        at = finer
    painted = torch.from_numpy((painting(at) * 255).round().astype(np.uint8))
    mesh = Triangles(torch.from_numpy(fine.astype(np.float32)), torch.from_numpy(own.astype(np.int32)), painted)
    still = Trajectory(np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1)))
    color, mask, _ = render_triangles(mesh, still, LENS, supersample=2, out_dtype="uint8")
    return MeshClip(points, faces, space="camera"), rest, color.numpy(), mask.numpy() > 0


def painting(rest: np.ndarray) -> np.ndarray:
    """Colours 0..1 of points at rest, about four waves over the body."""
    return 0.5 + 0.4 * np.sin(rest @ np.array([[9, 2, 1], [1, 8, 3], [2, 3, 9]]).T + np.arange(3))


@cache
def baked() -> Baked:
    clip, _, images, masks = filmed()
    return bake_texture(clip, images, LENS, masks=masks, size=256)


@pytest.mark.parametrize("cut", ["each face by itself", "large pieces"])
def test_seen_texels_show_the_video_s_colours(cut: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least 30 dB on what some frame shows."""
    if cut == "large pieces":
        pytest.importorskip("xatlas")
    monkeypatch.setattr(unwrap.extras, "has", lambda _: cut == "large pieces")
    clip, rest, images, masks = filmed()
    result = bake_texture(clip, images, LENS, masks=masks, size=256)
    atlas = unwrap.layout(clip.vertices[0], clip.faces, 256)
    at = (atlas.places.shares[..., None] * rest[clip.faces[atlas.places.face]]).sum(1)
    assert result.clip.texture is not None and result.texels is not None
    off = result.clip.texture.reshape(-1, 3)[atlas.texel] / 255 - painting(at)
    seen = result.texels.ravel()[atlas.texel]
    assert 0.2 < seen.mean() < 1.0 and 0.2 < result.seen < 1.0
    assert -10 * np.log10((off[seen] ** 2).mean()) > 30.0


def test_the_textured_mesh_looks_like_its_video() -> None:
    clip, _, images, masks = filmed()
    painted = baked().clip
    mesh = Triangles(
        torch.from_numpy(painted.vertices),
        torch.from_numpy(painted.faces),
        texture=torch.from_numpy(painted.texture),
        uv=torch.from_numpy(painted.uv),
    )
    still = Trajectory(np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1)))
    color, mask, _ = render_triangles(mesh, still, LENS, supersample=2, out_dtype="uint8")
    # What the camera sees at a slant it does not tell the colour of.
    inner = np.lib.stride_tricks.sliding_window_view(masks & (mask.numpy() > 0), (7, 7), axis=(1, 2)).all((-2, -1))
    off = (color.numpy().astype(float) - images)[:, 3:-3, 3:-3][inner] / 255
    assert len(clip) == FRAMES and -10 * np.log10((off**2).mean()) > 30.0


def test_vertex_colours_take_the_place_of_a_texture() -> None:
    clip, rest, images, masks = filmed()
    result = bake_texture(clip, images, LENS, masks=masks, paint="vertex colors")
    assert result.clip.texture is None and result.clip.uv is None and result.texels is None
    assert result.clip.colors is not None
    off = np.abs(result.clip.colors - painting(rest)).max(1)
    assert (off < 0.05).mean() > 0.8 * result.seen


def test_large_pieces_cover_the_mesh_without_overlap_and_filter_within() -> None:
    """Colours that are linear over the body come back at every place of every face."""
    pytest.importorskip("xatlas")
    clip, rest, _, _ = filmed()
    atlas = unwrap.layout(clip.vertices[0], clip.faces, 512)
    assert len(np.unique(atlas.texel)) == len(atlas.texel)
    assert len(np.unique(atlas.places.face)) > 0.95 * len(clip.faces)
    colors = (rest - rest.min(0)) / np.ptp(rest, axis=0)
    texture = np.zeros((512 * 512, 3), np.uint8)
    shown = (atlas.places.shares[..., None] * colors[clip.faces[atlas.places.face]]).sum(1)
    texture[atlas.texel] = np.round(255 * shown)
    shares = np.random.default_rng(0).dirichlet((0.5, 0.5, 0.5), (len(clip.faces), 20))
    uv = np.einsum("fsk,fki->fsi", shares, atlas.uv.astype(np.float64))
    found = looked_up(torch.from_numpy(texture.reshape(512, 512, 3)), torch.from_numpy(uv.reshape(-1, 2))).numpy()
    wanted = 255 * np.einsum("fsk,fki->fsi", shares, colors[clip.faces]).reshape(-1, 3)
    assert np.abs(found - wanted).max() < 20 and np.abs(found - wanted).mean() < 1.0


@pytest.mark.parametrize("faces", [1, 2, 7, 50])
def test_filtering_a_face_never_reaches_into_its_neighbour(faces: int) -> None:
    """A texture in which each face has its own colour shows exactly that at every place of the face, corners and edges too."""
    atlas = make_atlas(faces, 64)
    rng = np.random.default_rng(faces)
    colors = rng.integers(0, 255, (faces, 3)).astype(np.uint8)
    texture = np.zeros((64 * 64, 3), np.uint8)
    texture[atlas.texel] = colors[atlas.places.face]
    shares = np.concatenate([rng.dirichlet((0.3, 0.3, 0.3), 200), np.eye(3), 0.5 * (1 - np.eye(3))])
    for face in range(faces):
        uv = torch.from_numpy(shares @ atlas.uv[face].astype(np.float64))
        shown = looked_up(torch.from_numpy(texture.reshape(64, 64, 3)), uv).numpy()
        assert np.abs(shown - colors[face]).max() < 0.01


def test_unseen_vertices_lie_between_those_around_them() -> None:
    """On a strip whose ends are known the colour goes evenly; a piece that nobody saw takes the mean."""
    count = 9
    strip = np.array(
        [[i, i + 1, i + count] for i in range(count - 1)] + [[i + 1, i + count + 1, i + count] for i in range(8)]
    )
    apart = np.array([[18, 19, 20]])
    seen = np.zeros(21, bool)
    seen[[0, 9, 8, 17]] = True
    colors = np.zeros((21, 3), np.float32)
    colors[[8, 17]] = 1.0
    filled = spread(colors, seen, np.concatenate([strip, apart]))
    assert filled[:9, 0] == pytest.approx(np.linspace(0, 1, 9), abs=0.06)
    assert (np.diff(filled[:9, 0]) > 0).all()
    assert filled[18:] == pytest.approx(0.5)


def test_bad_input_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwrap.extras, "has", lambda _: False)
    clip, _, images, masks = filmed()
    with pytest.raises(EX4DError, match="stands in axes of its own"):
        bake_texture(MeshClip(clip.vertices, clip.faces), images, LENS)
    with pytest.raises(EX4DError, match="moves through the video's frames 0 to 2, and the video has 2"):
        bake_texture(clip, images[:2], LENS)
    with pytest.raises(EX4DError, match="Masks must be of the video's size"):
        bake_texture(clip, images, LENS, masks=masks[:, :20])
    with pytest.raises(EX4DError, match="is too small for"):
        bake_texture(clip, images, LENS, size=64)
    with pytest.raises(EX4DError, match="No frame of the video shows the mesh"):
        bake_texture(MeshClip(clip.vertices + np.float32([50, 0, 0]), clip.faces, space="camera"), images, LENS)
    with pytest.raises(Cancelled):
        bake_texture(clip, images, LENS, cancel=lambda: True)
