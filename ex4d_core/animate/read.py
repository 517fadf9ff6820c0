"""Meshes from files of any generator: .glb and .gltf, .obj, .ply; as one mesh each, with colours of vertices where there are any.

Textures become colours of vertices. What belongs to a scene, cameras, lights, bones and shapes, is left out.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EX4DError
from ..storage.gltf import Buffers, complete_file, parse
from .meshes import TriangleMesh
from .read_ply import read_ply_mesh

SUFFIXES = (".glb", ".gltf", ".obj", ".ply")
LARGEST_FILE = 2 << 30
DEEPEST, MOST_NODES = 64, 100_000
"""Nodes within nodes, and nodes in all: a damaged file may name one again and again."""


def read_mesh(path: str | Path) -> TriangleMesh:
    """One file's mesh, in the file's own axes and unit.

    Raises:
        EX4DError: a file of another kind, one that cannot be read, is damaged or too large, or holds no faces.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise EX4DError(f"'{path.name}' is no mesh file that is read here; expected {', '.join(SUFFIXES)}.")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise EX4DError(f"'{path.name}' is larger than 2 GiB. Reduce it first.")
        data = path.read_bytes()
    except OSError as error:
        raise EX4DError(f"'{path}' cannot be read ({error.strerror}).") from error
    try:
        if suffix == ".ply":
            return read_ply_mesh(data)
        return _obj(data) if suffix == ".obj" else _gltf(data, path.parent)
    except EX4DError as error:
        raise EX4DError(f"'{path.name}': {error}") from None


def _obj(data: bytes) -> TriangleMesh:
    """Lines "v x y z [r g b]" and "f a/b/c ..."; polygons become fans of triangles."""
    rows: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    try:
        for line in data.decode("latin-1").splitlines():
            words = line.split()
            if not words:
                continue
            if words[0] == "v":
                rows.append([float(word) for word in words[1:7]])
            elif words[0] == "f":
                corners = [int(word.split("/", 1)[0]) for word in words[1:]]
                corners = [n - 1 if n > 0 else len(rows) + n for n in corners]
                faces += [(corners[0], corners[k], corners[k + 1]) for k in range(1, len(corners) - 1)]
        triangles = np.array(faces, np.int64).reshape(-1, 3)
    except (ValueError, OverflowError):
        raise EX4DError("a line of this OBJ file is damaged. Export it again.") from None
    if any(len(row) not in (3, 4, 6) for row in rows):
        raise EX4DError("a vertex of this OBJ file has neither 3 numbers nor 6. Export it again.")
    vertices = np.array([row[:3] for row in rows], np.float64).reshape(-1, 3)
    colors = np.array([row[3:] for row in rows]) if rows and all(len(row) == 6 for row in rows) else None
    return TriangleMesh(vertices, triangles, colors)


def _gltf(data: bytes, folder: Path) -> TriangleMesh:
    document, binary = parse(data)
    with complete_file():
        found = _Found(document, Buffers(document, binary, folder))
        nodes = document.get("nodes", [])
        scenes = document.get("scenes") or [{"nodes": range(len(nodes))}]
        for node in scenes[document.get("scene", 0)].get("nodes", []):
            found.walk(node, np.eye(4), 0)
        return found.mesh()


class _Found:
    """The triangles met on the way through a glTF scene."""

    def __init__(self, document: dict[str, Any], buffers: Buffers) -> None:
        self.document, self.buffers = document, buffers
        self.vertices: list[np.ndarray] = []
        self.faces: list[np.ndarray] = []
        self.colors: list[np.ndarray | None] = []
        self.count = self.walked = 0

    def walk(self, index: int, above: np.ndarray, depth: int) -> None:
        """A node and its children, placed by those above it."""
        self.walked += 1
        if depth > DEEPEST or self.walked > MOST_NODES:
            raise EX4DError(f"this glTF file has nodes nested more than {DEEPEST} deep, or more than {MOST_NODES}.")
        node = self.document["nodes"][index]
        pose = above @ _pose(node)
        if "mesh" in node:
            for part in self.document["meshes"][node["mesh"]]["primitives"]:
                if part.get("mode", 4) == 4:
                    self._add(part, pose)
        for child in node.get("children", []):
            self.walk(child, pose, depth + 1)

    def _add(self, part: dict[str, Any], pose: np.ndarray) -> None:
        if {"KHR_draco_mesh_compression", "EXT_meshopt_compression"} & set(part.get("extensions", {})):
            raise EX4DError("this glTF file is compressed (Draco or meshopt). Export it without compression.")
        attributes = part["attributes"]
        points = self.buffers.accessor(attributes["POSITION"])[:, :3]
        if "indices" in part:
            faces = self.buffers.accessor(part["indices"])[:, 0].astype(np.int64)
        else:
            faces = np.arange(len(points))
        faces = faces[: len(faces) // 3 * 3].reshape(-1, 3)
        if len(faces) and faces.max() >= len(points):
            raise EX4DError("this glTF file's faces name vertices that are not there. Export it again.")
        if np.linalg.det(pose[:3, :3]) < 0:
            faces = faces[:, [0, 2, 1]]
        self.vertices.append(points @ pose[:3, :3].T + pose[:3, 3])
        self.faces.append(faces + self.count)
        self.colors.append(self._colors(part, len(points)))
        self.count += len(points)

    def _colors(self, part: dict[str, Any], count: int) -> np.ndarray | None:
        """(count, 3) sRGB: the texture at each vertex, times the material's colour and the vertices' own."""
        attributes = part["attributes"]
        index = part.get("material")
        material = {} if index is None else self.document["materials"][index].get("pbrMetallicRoughness", {})
        factor = np.array(material.get("baseColorFactor", [1, 1, 1, 1])[:3], np.float64)
        picture = material.get("baseColorTexture")
        own = attributes.get("COLOR_0")
        if picture is None and own is None and "baseColorFactor" not in material:
            return None
        linear = np.ones((count, 3)) * factor
        if own is not None:
            linear = linear * self.buffers.accessor(own)[:count, :3]
        if picture is not None:
            where = attributes.get(f"TEXCOORD_{picture.get('texCoord', 0)}")
            texture = None if where is None else self._picture(picture["index"])
            if where is not None and texture is not None:
                linear = linear * _linear(_looked_up(texture, self.buffers.accessor(where)[:count]))
        return _srgb(linear)

    def _picture(self, texture: int) -> np.ndarray | None:
        """(H, W, 3) 0..1; None where it lies in another file than the .glb or in a format that is not read."""
        from PIL import Image

        source = self.document["textures"][texture].get("source")
        view = None if source is None else self.document["images"][source].get("bufferView")
        if view is None:
            return None
        try:
            with Image.open(io.BytesIO(self.buffers.view(view))) as picture:
                return np.asarray(picture.convert("RGB"), np.float64) / 255
        except EX4DError:
            raise
        except Exception:  # a damaged picture makes Pillow raise anything
            return None

    def mesh(self) -> TriangleMesh:
        """All of it as one."""
        if not self.vertices:
            raise EX4DError("this glTF file holds no triangles.")
        colors = None
        if any(part is not None for part in self.colors):
            parts = zip(self.colors, self.vertices, strict=True)
            colors = np.concatenate([np.ones((len(v), 3)) if part is None else part for part, v in parts])
        return TriangleMesh(np.concatenate(self.vertices), np.concatenate(self.faces), colors)


def _pose(node: dict[str, Any]) -> np.ndarray:
    from ..camera import matrix_from_quaternion

    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    pose = np.eye(4)
    x, y, z, w = node.get("rotation", [0, 0, 0, 1])
    pose[:3, :3] = matrix_from_quaternion(np.array([w, x, y, z], np.float64)) * np.array(node.get("scale", [1, 1, 1]))
    pose[:3, 3] = node.get("translation", [0, 0, 0])
    return pose


def _looked_up(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N, 3) nearest colours of a texture (H, W, 3) that repeats, at (N, 2) places from its upper left corner."""
    height, width = texture.shape[:2]
    uv = np.nan_to_num(uv)
    uv = np.where((uv >= 0) & (uv <= 1), uv, uv % 1)
    columns = np.minimum((uv[:, 0] * width).astype(int), width - 1)
    return texture[np.minimum((uv[:, 1] * height).astype(int), height - 1), columns]


def _linear(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0) + 0.055) / 1.055) ** 2.4)


def _srgb(values: np.ndarray) -> np.ndarray:
    values = np.clip(values, 0, 1)
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)
