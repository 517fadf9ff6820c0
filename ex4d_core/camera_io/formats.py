"""The table of camera formats."""

from __future__ import annotations

from . import chan, gltf, json_path, npz, re10k, transforms
from .cameras import Format

FORMATS: dict[str, Format] = {
    "npz": Format("EX-4D camera (.npz)", ".npz", npz.read, npz.write),
    "json": Format("EX-4D path (.json)", ".json", json_path.read, json_path.write),
    "re10k": Format("RealEstate10K / CameraCtrl (.txt)", ".txt", re10k.read, re10k.write),
    "chan": Format("Nuke, Houdini, Blender (.chan)", ".chan", chan.read, chan.write),
    "transforms": Format("NeRF, instant-ngp, nerfstudio (transforms.json)", ".json", transforms.read, transforms.write),
    "gltf": Format("glTF camera animation (.gltf)", ".gltf", gltf.read, gltf.write_gltf),
    "glb": Format("glTF camera animation (.glb)", ".glb", gltf.read, gltf.write_glb),
}

SUFFIXES = tuple(sorted({entry.suffix for entry in FORMATS.values()}))
