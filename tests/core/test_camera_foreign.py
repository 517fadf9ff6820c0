"""Cameras that other programs wrote as USD text and Nuke nodes, and what is refused in them."""

from __future__ import annotations

import numpy as np
import pytest

from ex4d_core.camera import OPENGL_FROM_OPENCV, Intrinsics, invert_pose, y_up_from_opencv
from ex4d_core.camera_io.blender import BLENDER_FROM_OPENCV
from ex4d_core.camera_io.usd_text import local_to_world, parse_layer
from ex4d_core.errors import EX4DError
from ex4d_core.trajectory import load_camera

BLENDER = """#usda 1.0
(
    defaultPrim = "root"
    doc = "Blender v5.0.1"
    endTimeCode = 4
    metersPerUnit = 1
    startTimeCode = 1
    timeCodesPerSecond = 24
    upAxis = "Z"
)

def Xform "root" (
    customData = {
        dictionary Blender = {
            bool generated = 1
        }
    }
)
{
    def Xform "rig"
    {
        custom string userProperties:blender:object_name = "rig"
        float3 xformOp:rotateXYZ.timeSamples = {
            1: (0, -0, 5.729578),
            2: (0, -0, 11.459155),
        }
        float3 xformOp:scale.timeSamples = {
            1: (1, 1, 1),
        }
        double3 xformOp:translate.timeSamples = {
            1: (0, 0, 0.20000000298023224),
            2: (0, 0, 0.4000000059604645),
        }
        uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:rotateXYZ", "xformOp:scale"]

        def Xform "cam"
        {
            float3 xformOp:rotateXYZ.timeSamples = {
                1: (74.48451, 5.72958, 17.188732),
                2: (80.21409, 11.459159, 34.377472),
            }
            double3 xformOp:translate.timeSamples = {
                1: (0.30000001192092896, -1.9000000953674316, 0.5),
                2: (0.6000000238418579, -1.7999999523162842, 0.4999999701976776),
            }
            uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:rotateXYZ"]

            def Camera "cam"
            {
                float focalLength.timeSamples = {
                    1: 0.31,
                    2: 0.32,
                }
                float horizontalAperture.timeSamples = { 1: 0.36, }
                float horizontalApertureOffset.timeSamples = { 1: 0.018000001, }
                token projection = "perspective"
                float verticalAperture.timeSamples = { 1: 0.3, }
            }
        }
    }
}
"""
"""What Blender 5.0.1 exported of a camera below an empty that turns, here without its last two frames."""
IN_BLENDER = [
    [
        [0.91645956, -0.01556723, 0.39982447, 0.48818475],
        [0.3874729, 0.28384298, -0.8770963, -1.86055791],
        [-0.09983342, 0.95874441, 0.26616248, 0.69999999],
        [0.0, 0.0, 0.0, 1.0],
    ],
    [
        [0.68281895, 0.01447331, 0.73044431, 0.94564474],
        [0.70305669, 0.25886029, -0.6623463, -1.6449182],
        [-0.19866933, 0.96580637, 0.16657914, 0.89999998],
        [0.0, 0.0, 0.0, 1.0],
    ],
]
"""matrix_world of that camera at frames 1 and 2, by Blender itself."""


def written(tmp_path, name: str, text: str):
    file = tmp_path / name
    file.write_text(text)
    return file


def test_usd_of_blender(tmp_path):
    path = load_camera(written(tmp_path, "shot.usda", BLENDER), rebase=False).for_scene(Intrinsics.default(96, 80))
    expected = invert_pose(BLENDER_FROM_OPENCV) @ np.array(IN_BLENDER) @ OPENGL_FROM_OPENCV
    np.testing.assert_allclose(invert_pose(path.world_to_camera), expected, atol=1e-5)
    assert path.fps == 24
    # 31 and 32 mm on 36 mm of film, shifted by a twentieth of the picture's width.
    np.testing.assert_allclose([lens.fx for lens in path.intrinsics], [31 / 36 * 96, 32 / 36 * 96], rtol=1e-4)
    np.testing.assert_allclose([lens.cx for lens in path.intrinsics], 48 - 0.05 * 96, rtol=1e-4)


def test_transforms_are_those_of_usd_s_own_library(tmp_path):
    """All kinds of them, in centimetres, below a parent that is scaled."""
    pytest.importorskip("pxr", reason="usd-core is not installed")
    from pxr import Gf, Usd, UsdGeom

    file = tmp_path / "all.usda"
    stage = Usd.Stage.CreateNew(str(file))
    UsdGeom.SetStageMetersPerUnit(stage, 0.01)
    random = np.random.default_rng(1)
    parent = UsdGeom.Xform.Define(stage, "/parent")
    parent.AddTranslateOp().Set(Gf.Vec3d(10, 20, 30))
    parent.AddTranslateOp(opSuffix="pivot").Set(Gf.Vec3d(1, 2, 3))
    for order in ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"):
        turn = getattr(parent, f"AddRotate{order}Op")()
        for time in (0, 2):
            turn.Set(Gf.Vec3f(*random.uniform(-90, 90, 3).tolist()), time)
    parent.AddRotateYOp().Set(20.0)
    parent.AddScaleOp().Set(Gf.Vec3f(2, 2, 2))
    parent.AddOrientOp().Set(Gf.Quatf(0.5, 0.1, -0.7, 0.2).GetNormalized())
    parent.AddTranslateOp(opSuffix="pivot", isInverseOp=True)
    camera = UsdGeom.Camera.Define(stage, "/parent/camera")
    matrix = camera.AddTransformOp()
    matrix.Set(Gf.Matrix4d(Gf.Rotation(Gf.Vec3d(1, 2, 3), 40), Gf.Vec3d(5, -6, 7)), 0)
    stage.GetRootLayer().Save()
    ((*way,),) = parse_layer(file.read_text()).prims[0].cameras()
    path = load_camera(file, rebase=False)
    assert len(path) == 3
    for time in range(3):
        expected = np.array(UsdGeom.Xformable(camera).ComputeLocalToWorldTransform(time)).T
        np.testing.assert_allclose(local_to_world(tuple(way), time), expected, atol=1e-4)
        expected[:3] /= [2, 2, 2, 100]
        got = y_up_from_opencv(invert_pose(path.world_to_camera[time]))
        np.testing.assert_allclose(got, expected, atol=1e-5)


NODE = """set cut_paste_input [stack 0]
version 15.1 v2
push $cut_paste_input
Camera3 {
 rot_order XYZ
 translate {{curve i x1001 1 2 3} 0.5 {curve x1001 -1 x1002 -2 x1003 -4}}
 rotate {{curve x1001 10 20 30} {curve x1001 5 s0.2 t0.1 6 7} 40}
 focal 35
 haperture 36
 vaperture 24
 name Camera1
 label "a } in words"
 selected true
 xpos -40
}
"""


def test_a_node_copied_out_of_nuke(tmp_path):
    """Its own order of turns, curves beside numbers, frames from 1001 on."""
    path = load_camera(written(tmp_path, "shot.nk", NODE), rebase=False, size=(1920, 1080))
    pose = y_up_from_opencv(invert_pose(path.world_to_camera))
    np.testing.assert_allclose(pose[:, :3, 3], [[1, 0.5, -1], [2, 0.5, -2], [3, 0.5, -4]])
    (a, b, c), (d, e, f) = np.cos(np.radians([30, 7, 40])), np.sin(np.radians([30, 7, 40]))
    x, y, z = [[1, 0, 0], [0, a, -d], [0, d, a]], [[b, 0, e], [0, 1, 0], [-e, 0, b]], [[c, -f, 0], [f, c, 0], [0, 0, 1]]
    np.testing.assert_allclose(pose[2, :3, :3], np.array(z) @ y @ x, atol=1e-12)
    # Its width is fitted: 36 mm across 1920 pixels.
    assert path.for_scene(Intrinsics.default(1920, 1080)).intrinsics[0].fx == pytest.approx(35 / 36 * 1920)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (" focal 35", " focal {{parent.Camera2.focal}}", "Expressions are not read"),
        (" focal 35", " focal {35 40}", "holds 2 values or curves, expected 1"),
        (" focal 35", " focal 0", "must lie above 0 mm"),
        (" focal 35", " useMatrix true", "useMatrix is 'true'; only false is read"),
        (" focal 35", " pivot {0 1 0}", "pivot is '{0 1 0}'; only 0 is read"),
        ("curve x1001 10 20 30", "curve x1001 10 x1003 30", "Bake the camera to a key on every frame"),
        ("x1003 -4", "x90000 -4", "over more than 10000 frames"),
        ("rot_order XYZ", "rot_order XYX", "rot_order is 'XYX'"),
        ("xpos -40\n}", "xpos {-40", "cut off inside its camera node"),
        ("Camera3", "Axis3", "has no camera node"),
    ],
)
def test_nuke_nodes_that_say_something_else_are_refused(tmp_path, old, new, said):
    assert old in NODE
    with pytest.raises(EX4DError, match=said):
        load_camera(written(tmp_path, "shot.nk", NODE.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("#usda 1.0", "#sdf 1.4", "no USD text file"),
        ("#usda 1.0", "PXR-USDC", "binary USD.*usdcat"),
        ('def Camera "cam"', 'def Scope "cam"', "has no camera"),
        ('"xformOp:translate", "xformOp:rotateXYZ", ', '"xformOp:shear", ', "lists 'xformOp:shear' but has none"),
        ("1: 0.31,", '1: "wide",', "focalLength holds 'wide'"),
        ("1: 0.31,", "1: -0.31,", "must lie above 0 mm"),
        ("1: (1, 1, 1),", "1: (1, 2, 1),", "scaled unevenly"),
        ("1: (1, 1, 1),", "1: (1, 2),", "transform 'scale' that is not read"),
        ("2: (0, -0, 11.459155),", "2e9: (0, -0, 11.459155),", "over more than 10000 frames"),
        ("metersPerUnit = 1", "metersPerUnit = 0", "metersPerUnit"),
        ("2: 0.32,\n                }", "", "damaged"),
        ('"perspective"', '"perspec', "cannot be read"),
    ],
)
def test_usd_files_that_are_something_else_are_refused(tmp_path, old, new, said):
    assert old in BLENDER
    with pytest.raises(EX4DError, match=said):
        load_camera(written(tmp_path, "shot.usda", BLENDER.replace(old, new)))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("shot.jsx", "alert('hello');", "no After Effects script of EX-4D"),
        ("shot.py", 'SHOT = json.loads("""{not}""")', "no Blender script of EX-4D"),
        ("shot.jsx", 'var shot = {"width":10,"height":"x"};', "the picture of this script"),
        (
            "shot.jsx",
            'var shot = {"width":10,"height":8,"zoom":[9],"orientation":[[0,0]]};',
            "orientation of this script",
        ),
        ("shot.py", 'SHOT = json.loads("""{"width":10,"height":8,"lens":[]}""")', "lens of this script"),
    ],
)
def test_other_scripts_are_refused(tmp_path, name, text, said):
    with pytest.raises(EX4DError, match=said):
        load_camera(written(tmp_path, name, text))


@pytest.mark.parametrize(("name", "mark"), [("shot.jsx", "var shot = {"), ("shot.py", 'SHOT = json.loads("""{')])
def test_a_mark_said_a_hundred_thousand_times_is_refused_at_once(tmp_path, name, mark):
    with pytest.raises(EX4DError, match="script of EX-4D"):
        load_camera(written(tmp_path, name, mark * 100_000))
