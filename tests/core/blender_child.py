"""Run by a Python that has bpy: opens the files of a folder in Blender and prints, as JSON, where things are at some frames.

python blender_child.py FOLDER FRAMES WIDTH,HEIGHT FPS

Camera scripts (.py), FBX, GLB and USD files, each in an empty scene; frames count from 0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy

FOLDER = Path(sys.argv[1])
FRAMES, SIZE, (FPS,) = ([int(word) for word in words.split(",")] for words in sys.argv[2:])


def opened(file: Path) -> int:
    """Blender's frame of the file's first one."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y = SIZE
    render.fps = FPS  # glTF's times become frames at the scene's rate
    if file.suffix == ".py":
        text = file.read_text().replace('MESH = ""', f"MESH = {str(FOLDER / 'behind.ply')!r}")
        text = text.replace('FBX = ""', f"FBX = {str(file.with_suffix('.fbx'))!r}")
        exec(compile(text, file.name, "exec"), {"__name__": "__main__"})
        return 1
    if file.suffix == ".fbx":
        bpy.ops.import_scene.fbx(filepath=str(file))
        return 1
    if file.suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=str(file))
        return 0
    bpy.ops.wm.usd_import(filepath=str(file), set_frame_range=True)
    return 0


def camera(owner: bpy.types.Object, size: tuple[int, int]) -> dict:
    """Its place in Blender's world, and how it projects."""
    shape = {"x": size[0], "y": size[1]}
    matrix = owner.calc_matrix_camera(bpy.context.evaluated_depsgraph_get(), **shape)
    return {"pose": [list(row) for row in owner.matrix_world], "projection": [list(row) for row in matrix]}


def vertices(owner: bpy.types.Object) -> list[list[float]]:
    """Those of a mesh in Blender's world, moved by whatever moves it."""
    evaluated = owner.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    return [list(owner.matrix_world @ vertex.co) for vertex in mesh.vertices]


def told(file: Path) -> dict:
    first = opened(file)
    scene = bpy.context.scene
    render = scene.render
    size = (render.resolution_x, render.resolution_y)
    frames = []
    for frame in FRAMES:
        scene.frame_set(frame + first)
        objects = list(scene.objects)
        frames.append(
            {
                "cameras": {each.name: camera(each, size) for each in objects if each.type == "CAMERA"},
                "meshes": {
                    each.name: vertices(each)
                    for each in objects
                    if each.type == "MESH" and min(each.matrix_world.to_scale()) > 0.5
                },
            }
        )
    return {
        "frames": frames,
        "fps": render.fps / render.fps_base,
        "size": size,
        "last": scene.frame_end,
        "kinds": sorted(each.type for each in scene.objects),
    }


kinds = {".py": 0, ".fbx": 1, ".glb": 2, ".usda": 2, ".usdz": 2}
report = {}
for step in range(3):
    for file in sorted(FOLDER.iterdir()):
        if kinds.get(file.suffix) == step:
            report[file.name] = told(file)
print("REPORT" + json.dumps(report))
