"""Blender: a Python script that makes the camera, its path as a curve, and loads a mesh behind it if told which.

Blender's world has z up and y forward: (x, y, z) of ours becomes (x, z, -y). Its cameras look along -z with y up. The lens is in
millimetres on a film back whose height is `FILM_HEIGHT`, in the picture's shape; lens shift counts in picture widths, since
Blender's FBX export takes the film back's width and the shift for that, whatever way the sensor is fitted.
"""

from __future__ import annotations

import json

import numpy as np

from ..camera import (
    DEFAULT_FPS,
    OPENGL_FROM_OPENCV,
    Intrinsics,
    invert_pose,
    matrix_from_quaternion,
    pose_from,
    quaternion_from_matrix,
)
from ..errors import EX4DError
from .cameras import Cameras, Format, Hints, lenses_of
from .film import FILM_HEIGHT, film_width, focal_millimetres
from .script import columns, picture, shot_in

BLENDER_FROM_OPENCV = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""Our world in Blender's axes."""

SCRIPT = '''"""The camera of an EX-4D path. Blender: Scripting > Open > Run Script; or blender --python this_file.py"""

import json
from pathlib import Path

import bpy

MESH = ""  # a .ply, .glb or .obj to load behind it, such as DW-Mesh.ply of recon --save_mesh
FBX = ""  # a file to export camera and path to, for Unreal's Sequencer

SHOT = json.loads("""%s""")

scene = bpy.context.scene
scene.render.resolution_x, scene.render.resolution_y = SHOT["width"], SHOT["height"]
scene.render.resolution_percentage = 100
# Blender counts whole frames in a second, over a base: 29.97 is 30 over 1.001.
scene.render.fps = max(1, round(SHOT["fps"]))
scene.render.fps_base = scene.render.fps / SHOT["fps"]
scene.frame_start, scene.frame_end = 1, len(SHOT["lens"])

camera = bpy.data.cameras.new("EX-4D camera")
camera.sensor_fit, (camera.sensor_width, camera.sensor_height) = "HORIZONTAL", SHOT["film_back"]
rig = bpy.data.objects.new("EX-4D camera", camera)
scene.collection.objects.link(rig)
scene.camera = rig
rig.rotation_mode = "QUATERNION"
for number, (place, turn, lens, shift) in enumerate(zip(SHOT["location"], SHOT["quaternion"], SHOT["lens"], SHOT["shift"]), 1):
    rig.location, rig.rotation_quaternion = place, turn
    camera.lens, camera.shift_x, camera.shift_y = lens, shift[0], shift[1]
    for owner, name in (
        (rig, "location"), (rig, "rotation_quaternion"), (camera, "lens"), (camera, "shift_x"), (camera, "shift_y"),
    ):
        owner.keyframe_insert(name, frame=number)

curve = bpy.data.curves.new("EX-4D path", "CURVE")
curve.dimensions = "3D"
line = curve.splines.new("POLY")
line.points.add(len(SHOT["location"]) - 1)
for point, place in zip(line.points, SHOT["location"]):
    point.co = (*place, 1.0)
path = bpy.data.objects.new("EX-4D path", curve)
scene.collection.objects.link(path)

if MESH:
    load = {".ply": bpy.ops.wm.ply_import, ".obj": bpy.ops.wm.obj_import, ".glb": bpy.ops.import_scene.gltf}
    load[Path(MESH).suffix.lower()](filepath=MESH)
if FBX:
    bpy.ops.object.select_all(action="DESELECT")
    rig.select_set(True)
    path.select_set(True)
    bpy.ops.export_scene.fbx(filepath=FBX, use_selection=True, object_types={"CAMERA", "OTHER"}, bake_anim=True)
'''


def write(cameras: Cameras) -> bytes:
    """Writes the script; pixels are square in it."""
    lenses, fps = lenses_of(cameras, "Blender"), cameras.fps or DEFAULT_FPS
    uneven = next((i for i, k in enumerate(lenses) if abs(k.fx - k.fy) > 1e-3 * k.fy), None)
    if uneven is not None:
        raise EX4DError(
            f"A Blender camera here has square pixels, the lens of frame {uneven} has not. Save it as .npz or .json."
        )
    pose = BLENDER_FROM_OPENCV @ invert_pose(cameras.world_to_camera) @ OPENGL_FROM_OPENCV
    turns = quaternion_from_matrix(pose[:, :3, :3])
    for i in range(1, len(turns)):  # the nearer of the two signs, so that the curves between frames do not swing
        if turns[i] @ turns[i - 1] < 0:
            turns[i] = -turns[i]
    shot = {"width": lenses[0].width, "height": lenses[0].height, "fps": fps}
    shot["film_back"] = [film_width(lenses[0]), FILM_HEIGHT]
    shot |= {"location": pose[:, :3, 3].tolist(), "quaternion": turns.tolist()}
    shot["lens"] = [focal_millimetres(lens) for lens in lenses]
    shot["shift"] = [[(k.width / 2 - k.cx) / k.width, (k.cy - k.height / 2) / k.width] for k in lenses]
    return (SCRIPT % json.dumps(shot, separators=(",", ":"))).encode()


def read(data: bytes, hints: Hints) -> Cameras:
    """Reads the camera of such a script back."""
    shot = shot_in(data, 'SHOT = json.loads("""', "Blender")
    width, height = picture(shot)
    lens = columns(shot, "lens", 1)[:, 0]
    turns, places = columns(shot, "quaternion", 4, len(lens)), columns(shot, "location", 3, len(lens))
    high = columns(shot, "film_back", 2, 1)[0, 1]
    to_world = invert_pose(pose_from(matrix_from_quaternion(turns), places))
    pose = invert_pose(BLENDER_FROM_OPENCV) @ to_world @ OPENGL_FROM_OPENCV
    lenses = tuple(
        Intrinsics(focal, focal, width * (0.5 - float(across)), height / 2 + width * float(down), width, height)
        for focal, (across, down) in zip(
            (lens / high * height).tolist(), columns(shot, "shift", 2, len(lens)), strict=True
        )
    )
    return Cameras(invert_pose(pose), lenses, fps=shot.get("fps", hints.fps))


FORMAT = Format(
    name="blender",
    title="Blender script",
    suffixes=(".py",),
    used_by="Blender, and Unreal by the FBX that the script exports",
    keeps="poses, lens in mm with shift, size, fps, the path as a curve",
    read=read,
    write=write,
)
