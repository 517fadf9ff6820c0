"""A clip's mesh as binary glTF: one frame, all frames as shapes of one mesh, or a mesh and picture for each.

Unlit, since the light is in the picture; y up, metres, and cameras whose keys lie on the frames.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..camera_io.gltf import add_camera, empty_document, finished
from ..errors import Cancelled
from ..storage.gltf import INDICES, VERTICES, Packer, write_glb
from ..storage.staging import staged_file
from .collapse import collapsing, moving_positions
from .scene import AssetScene
from .shapes import as_shapes
from .simplify import Surface

JPEG_QUALITY = 95
CLAMP, LINEAR = 33071, 9729
"""OpenGL's numbers for textures that end at their edge, and for bilinear filtering."""
BETWEEN = {"hold": "STEP", "blend": "LINEAR"}
"""What a program shows between two frames: the last one, or a mixture."""

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]


class Document:
    """A glTF file in the making.

    Attributes:
        json: the document, without what the packer describes.
        packer: its data.
    """

    def __init__(self, name: str, fps: float) -> None:
        self.fps = fps
        self.packer = Packer()
        self.json: dict[str, Any] = empty_document(name, fps)
        self.json |= {key: [] for key in ("extensionsUsed", "meshes", "materials", "samplers", "textures", "images")}

    @classmethod
    def of(cls, scene: AssetScene, name: str) -> Document:
        """One with a scene's cameras."""
        document = cls(name, scene.fps)
        for camera, poses in scene.cameras.items():
            add_camera(document.json, document.packer, scene.placed(poses), camera)
            document.json["cameras"][-1]["perspective"] |= {"znear": scene.reach * 1e-6, "zfar": scene.reach}
        return document

    def material(self, picture: np.ndarray, name: str) -> int:
        """An unlit material that shows a picture (H, W, 3) uint8; returns its number."""
        view = self.packer.add_file(jpeg(picture))
        if not self.json["samplers"]:
            self.json["samplers"].append({"magFilter": LINEAR, "minFilter": LINEAR, "wrapS": CLAMP, "wrapT": CLAMP})
        self.json["images"].append({"bufferView": view, "mimeType": "image/jpeg", "name": name})
        self.json["textures"].append({"sampler": 0, "source": len(self.json["images"]) - 1})
        return self._unlit(name, {"baseColorTexture": {"index": len(self.json["textures"]) - 1}})

    def plain_material(self, name: str, *, unlit: bool) -> int:
        """A material that shows the vertices' own colours, or white under lights; returns its number."""
        if unlit:
            return self._unlit(name, {})
        self.json["materials"].append(
            {"name": name, "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 0.8}, "doubleSided": True}
        )
        return len(self.json["materials"]) - 1

    def _unlit(self, name: str, shown: dict[str, Any]) -> int:
        unlit = "KHR_materials_unlit"
        if unlit not in self.json["extensionsUsed"]:
            self.json["extensionsUsed"].append(unlit)
        self.json["materials"].append(
            {
                "name": name,
                "pbrMetallicRoughness": {**shown, "metallicFactor": 0, "roughnessFactor": 1},
                "extensions": {unlit: {}},
                "doubleSided": True,
            }
        )
        return len(self.json["materials"]) - 1

    def mesh(
        self,
        name: str,
        positions: np.ndarray,
        uv: np.ndarray | None,
        faces: np.ndarray,
        material: int,
        shapes: Sequence[np.ndarray] | np.ndarray = (),
        colors: np.ndarray | None = None,
        **fields: Any,
    ) -> int:
        """A mesh, and a node that shows it; returns the node's number.

        Args:
            name: of both.
            positions: (V, 3) float32.
            uv: (V, 2) float32; None without a picture.
            faces: (F, 3) int32.
            material: its number.
            shapes: (V, 3) float32 each, added to the positions by weights.
            colors: (V, 3) float32, linear; None where the vertices have none.
            fields: more of the mesh's fields.
        """
        add = self.packer.add
        indices = faces.reshape(-1, 1).astype("<u2" if len(positions) < 0xFFFF else "<u4")
        attributes = {"POSITION": add(positions, "VEC3", VERTICES)}
        if uv is not None:
            attributes["TEXCOORD_0"] = add(uv, "VEC2", VERTICES)
        if colors is not None:
            attributes["COLOR_0"] = add(colors, "VEC3", VERTICES)
        part: dict[str, Any] = {"attributes": attributes, "indices": add(indices, "SCALAR", INDICES)}
        part["material"] = material
        if len(shapes):
            part["targets"] = [{"POSITION": add(shape, "VEC3", VERTICES)} for shape in shapes]
        self.json["meshes"].append({"name": name, "primitives": [part], **fields})
        self.json["nodes"].append({"name": name, "mesh": len(self.json["meshes"]) - 1})
        self.json["scenes"][0]["nodes"].append(len(self.json["nodes"]) - 1)
        return len(self.json["nodes"]) - 1

    def animate(self, node: int, path: str, times: np.ndarray, values: np.ndarray, kind: str, between: str) -> None:
        """Add a curve: ``values`` of one of a node's paths at ``times``, in frames."""
        seconds = self.packer.add((times[:, None] / self.fps).astype("<f4"), "SCALAR")
        output = self.packer.add(values.astype("<f4"), kind)
        animation = self.json["animations"][0]
        target = {"node": node, "path": path}
        animation["channels"].append({"sampler": len(animation["samplers"]), "target": target})
        animation["samplers"].append({"input": seconds, "output": output, "interpolation": BETWEEN[between]})

    def save(self, path: Path) -> None:
        """Write the file; it appears under its name only when it is whole."""
        with staged_file(path) as part, open(part, "wb") as file:
            write_glb(file, finished(self.json), self.packer)


def jpeg(picture: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8 as JPEG, its colours at full resolution."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def save_still(path: Path, scene: AssetScene, surface: Surface, k: int = 0) -> None:
    """Write one frame.

    Args:
        path: target (.glb).
        scene: what is written; its cameras move all the same.
        surface: the faces.
        k: which of the surface's frames.
    """
    document = Document.of(scene, "camera path")
    _add_frame(document, scene, surface, k)
    document.save(path)


def _add_frame(document: Document, scene: AssetScene, surface: Surface, k: int) -> int:
    """The surface as one frame sees it, with that frame's picture; returns its node."""
    frame = surface.frames[k]
    used, index = np.unique(surface.faces[surface.visible(k)], return_inverse=True)
    vertices = surface.vertices[used]
    name = f"frame {frame:04}"
    material = document.material(scene.picture(frame), name)
    positions, uv = scene.positions(frame, vertices), scene.texture_coordinates(vertices)
    return document.mesh(name, positions, uv, index.reshape(-1, 3), material)


def save_frames(
    path: Path,
    scene: AssetScene,
    surface: Callable[[int], Surface],
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> int:
    """Write all frames, each a mesh with a picture of its own that is there only at its time.

    Meshes appear by their scale, 1 or 0, held from key to key: what every glTF viewer plays.

    Args:
        path: target (.glb).
        scene: what is written.
        surface: makes the surface of one frame of the mesh.
        progress: called with (frames done, frames).
        cancel: polled once a frame; True raises Cancelled.

    Returns:
        Faces of all frames together.
    """
    document = Document.of(scene, "clip")
    shown = np.array(scene.shown)
    faces = 0
    for k, frame in enumerate(scene.frames):
        if cancel is not None and cancel():
            raise Cancelled("Writing the mesh was cancelled.")
        made = surface(frame)
        faces += len(made.faces)
        node = _add_frame(document, scene, made, 0)
        on = shown == frame
        document.json["nodes"][node]["scale"] = [float(on[0])] * 3
        times = np.concatenate([[0], np.flatnonzero(on[1:] != on[:-1]) + 1])
        states = on[times]
        if on[-1]:  # the last one stays for as long as the others do
            times, states = np.append(times, len(shown)), np.append(states, True)
        if len(scene.frames) > 1:
            document.animate(node, "scale", times, np.repeat(states[:, None], 3, axis=1), "VEC3", "hold")
        if progress is not None:
            progress(k + 1, len(scene.frames))
    document.save(path)
    return faces


def save_morphing(
    path: Path,
    scene: AssetScene,
    surface: Surface,
    picture: int,
    *,
    between: str = "hold",
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> int:
    """Write one mesh with one picture, whose shapes are the frames, or fewer that these are mixed from.

    Args:
        path: target (.glb).
        scene: what is written.
        surface: faces for all of the scene's frames.
        picture: the frame whose picture it wears.
        between: of :data:`BETWEEN`.
        progress: called with (frames done, frames).
        cancel: polled once a frame; True raises Cancelled.

    Returns:
        How many shapes it has.
    """
    document = Document.of(scene, "clip")
    shape = collapsing(surface)

    def positions(k: int) -> np.ndarray:
        if cancel is not None and cancel():
            raise Cancelled("Writing the mesh was cancelled.")
        made = scene.positions(surface.frames[k], surface.vertices)
        if progress is not None:
            progress(k + 1, len(surface.frames))
        return made

    moved = moving_positions(shape, len(surface.frames), positions)
    base, shapes, weights = as_shapes(moved, scene.mesh.radius * scene.scale)
    uv = scene.texture_coordinates(surface.vertices)[shape.vertices]
    material = document.material(scene.picture(picture), f"frame {picture:04}")
    fields: dict[str, Any] = {}
    if len(shapes):
        fields = {"weights": weights[surface.frames.index(scene.shown[0])].tolist()}
        fields["extras"] = {"targetNames": [f"shape {n + 1}" for n in range(len(shapes))]}
    node = document.mesh("clip", base, uv, shape.faces, material, shapes, **fields)
    if len(shapes):
        order = [surface.frames.index(frame) for frame in (*scene.shown, scene.shown[-1])]
        document.animate(node, "weights", np.arange(len(order)), weights[order].reshape(-1, 1), "SCALAR", between)
    document.save(path)
    return len(shapes)
