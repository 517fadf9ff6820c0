# pyright: reportAttributeAccessIssue=false
# Of pxr, whose modules state nothing of what is in them.
"""A clip's mesh and cameras as USD with time samples, in one .usdz (needs usd-core, an optional package).

One time code is one frame. The picture is emitted, not lit. Cameras are in millimetres of a full-frame film back and keep their
lens shift.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..camera import invert_pose, y_up_from_opencv
from ..camera_io import Cameras
from ..camera_io.film import usd_aperture
from ..errors import Cancelled, EX4DError
from ..machine import extras
from .collapse import Collapsing, collapsing
from .glb import Cancel, Progress, jpeg
from .scene import AssetScene
from .simplify import Surface


def save_usd(
    path: Path,
    scene: AssetScene,
    surface: Surface,
    picture: int | None,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> None:
    """Write the file.

    Args:
        path: target (.usdz).
        scene: what is written.
        surface: faces for all of the scene's frames.
        picture: the frame whose picture the mesh wears; None = at every frame its own, as a texture whose file changes.
        progress: called with (frames done, frames).
        cancel: polled once a frame; True raises Cancelled.

    Raises:
        EX4DError: usd-core is missing, or it could not put the file together.
    """
    extras.load("pxr", "The format usdz")
    from pxr import Sdf, Usd, UsdGeom, UsdUtils

    shape = collapsing(surface)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        inside = Path(folder) / "clip.usdc"
        stage = Usd.Stage.CreateNew(str(inside))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.SetTimeCodesPerSecond(scene.fps)
        stage.SetFramesPerSecond(scene.fps)
        stage.SetStartTimeCode(0)
        stage.SetEndTimeCode(len(scene) - 1)
        stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/World").GetPrim())
        mesh = _mesh(stage, scene, surface, shape)
        frames = scene.frames if picture is None else (picture,)
        for frame in frames:
            (Path(folder) / _picture_name(frame)).write_bytes(jpeg(scene.picture(frame)))
        samples = list(enumerate(scene.shown)) if picture is None else [(0, picture)]
        _wear(stage, mesh, [(n, _picture_name(frame)) for n, frame in samples])
        for name, cameras in scene.cameras.items():
            _camera(stage, name, scene.placed(cameras), scene.reach)
        _move(mesh, scene, surface, shape, progress, cancel)
        stage.GetRootLayer().Save()
        if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(inside)), str(path)):
            raise EX4DError(f"usd-core could not put '{path.name}' together; its messages stand above.")


def _picture_name(frame: int) -> str:
    return f"frame_{frame:04}.jpg"


def _mesh(stage: Any, scene: AssetScene, surface: Surface, shape: Collapsing) -> Any:
    """The topology and the places in the picture."""
    from pxr import Sdf, UsdGeom, Vt

    mesh = UsdGeom.Mesh.Define(stage, "/World/Clip")
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateDoubleSidedAttr(True)
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(shape.faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(shape.faces.reshape(-1))))
    uv = scene.texture_coordinates(surface.vertices)[shape.vertices]
    uv[:, 1] = 1 - uv[:, 1]  # counted from the lower left corner
    places = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex)
    places.Set(Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(uv)))
    return mesh


def _move(
    mesh: Any,
    scene: AssetScene,
    surface: Surface,
    shape: Collapsing,
    progress: Progress | None,
    cancel: Cancel | None,
) -> None:
    """The vertices at every frame."""
    from pxr import Gf, Usd, Vt

    points, extent = mesh.CreatePointsAttr(), mesh.CreateExtentAttr()
    for n, frame in enumerate(scene.shown):
        if cancel is not None and cancel():
            raise Cancelled("Writing the mesh was cancelled.")
        k = surface.frames.index(frame)
        moved = np.ascontiguousarray(shape.at(k, scene.positions(frame, surface.vertices)))
        corners = [Gf.Vec3f(*(float(v) for v in corner)) for corner in (moved.min(axis=0), moved.max(axis=0))]
        time = Usd.TimeCode(n) if len(scene.frames) > 1 else Usd.TimeCode.Default()
        points.Set(Vt.Vec3fArray.FromNumpy(moved), time)
        extent.Set(Vt.Vec3fArray(corners), time)
        if progress is not None:
            progress(n + 1, len(scene))


def _wear(stage: Any, mesh: Any, pictures: list[tuple[int, str]]) -> None:
    """An unlit material with pictures by the frame from which they are shown."""
    from pxr import Gf, Sdf, UsdShade

    types = Sdf.ValueTypeNames
    material = UsdShade.Material.Define(stage, "/World/Picture")
    place = UsdShade.Shader.Define(stage, "/World/Picture/Place")
    place.CreateIdAttr("UsdPrimvarReader_float2")
    place.CreateInput("varname", types.String).Set("st")
    texture = UsdShade.Shader.Define(stage, "/World/Picture/Texture")
    texture.CreateIdAttr("UsdUVTexture")
    file = texture.CreateInput("file", types.Asset)
    for n, name in pictures:
        value = Sdf.AssetPath(f"./{name}")
        if len(pictures) > 1:
            file.Set(value, n)
        else:
            file.Set(value)
    for side in ("wrapS", "wrapT"):
        texture.CreateInput(side, types.Token).Set("clamp")
    texture.CreateInput("sourceColorSpace", types.Token).Set("sRGB")
    texture.CreateInput("st", types.Float2).ConnectToSource(place.CreateOutput("result", types.Float2))
    surface = UsdShade.Shader.Define(stage, "/World/Picture/Surface")
    surface.CreateIdAttr("UsdPreviewSurface")
    surface.CreateInput("diffuseColor", types.Color3f).Set(Gf.Vec3f(0))
    surface.CreateInput("roughness", types.Float).Set(1.0)
    color = texture.CreateOutput("rgb", types.Float3)
    surface.CreateInput("emissiveColor", types.Color3f).ConnectToSource(color)
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", types.Token))
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)


def _camera(stage: Any, name: str, cameras: Cameras, reach: float) -> None:
    """A camera with a key on every frame."""
    from pxr import Gf, UsdGeom

    camera = UsdGeom.Camera.Define(stage, "/World/" + name.replace("-", "").replace(" ", "_"))
    camera.CreateClippingRangeAttr(Gf.Vec2f(reach * 1e-6, reach))
    place = camera.AddTransformOp()
    poses = invert_pose(y_up_from_opencv(cameras.world_to_camera))
    assert cameras.intrinsics is not None  # scenes know their lenses
    for n, (pose, lens) in enumerate(zip(poses, cameras.intrinsics, strict=True)):
        place.Set(Gf.Matrix4d(*pose.T.ravel().tolist()), n)  # USD multiplies rows
        focal, wide, high, across, down = usd_aperture(lens)
        camera.CreateFocalLengthAttr().Set(focal, n)
        camera.CreateHorizontalApertureAttr().Set(wide, n)
        camera.CreateVerticalApertureAttr().Set(high, n)
        camera.CreateHorizontalApertureOffsetAttr().Set(across, n)
        camera.CreateVerticalApertureOffsetAttr().Set(down, n)
