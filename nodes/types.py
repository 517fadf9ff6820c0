"""Socket types of the pack, and what travels on them.

Core types are used wherever ComfyUI has one (IMAGE, MASK, VIDEO, ...). Types that only newer hosts define are
declared here by name, so that the schemas are the same on every host.
"""

from __future__ import annotations

from comfy_api.latest import io

# EX4D_DEPTH: ex4d_core.depth.clip.DepthClip
#   .depth            float32 tensor (T, H, W), planar z > 0, OpenCV camera of the source frames
#   .intrinsics       the lens that belongs to it, or None where the source knows none
#   .disparity_range  (low, high) of the disparity it came from, or None
#   .source_camera    the path of the camera that filmed it, an EX4D_TRAJECTORY from frame 0 on; None = it does not move
Depth = io.Custom("EX4D_DEPTH")

# EX4D_DWMESH: ex4d_core.mesh.DWMesh
#   the watertight depth mesh of a clip: one vertex grid per frame over one fixed topology, colours, the share of
#   surfaces that no source pixel saw (occlusion), the lens, the orbit radius and the pivot (0, 0, radius)
Mesh = io.Custom("EX4D_DWMESH")

# EX4D_TRAJECTORY: ex4d_core.trajectory.Trajectory
#   .world_to_camera  float32 array (T, 4, 4), OpenCV; the source camera is the identity, at frame 0 where it moves
#   .intrinsics       one lens per frame, or None = the mesh's
#   .frame_of_reference  "source": poses count from the source camera at each frame; "world": from where it began
#   .fps, .path       frame rate, and the editable JSON document it was evaluated from (or None)
Trajectory = io.Custom("EX4D_TRAJECTORY")

# EX4D_POINTMAP: ex4d_core.pointmap.PointMap
#   .points           float32 tensor (T, H, W, 3), x y z for every pixel; axes as in the OpenCV camera
#   .valid            bool tensor (T, H, W), False where a pixel has no point (sky)
#   .colors           uint8 tensor (T, H, W, 3)
#   .space            "cube" (4DNeX: every frame moved by an unknown amount), "world" or "camera"
#   .fps, .pixel_aspect  frame rate, and fy / fx of the lens (1 = square pixels)
PointMap = io.Custom("EX4D_POINTMAP")

# EX4D_MESHES: ex4d_core.animate.meshes.MeshFrames
#   .frames, .meshes  numbers of the key frames, and a TriangleMesh of each: vertices (V, 3), faces (F, 3), colors or None
#   .poses            float64 array (N, 4, 4), object to source camera (OpenCV), or None while it is not known
#   .lenses           of the cameras in front of which they were placed, or None
#   .fps              frame rate of the source video
Meshes = io.Custom("EX4D_MESHES")

# EX4D_MESHCLIP: ex4d_core.animate.meshes.MeshClip
#   .vertices, .faces float32 array (T, V, 3) and one topology (F, 3) for all frames
#   .colors, .uv, .texture  colours of the vertices, or a texture (H, W, 3) with places (F, 3, 2) in it; or neither
#   .space            "object": axes of the mesh it was made from; "camera": the source camera's (OpenCV)
#   .fps, .start      frame rate, and the source video's frame that is the first
MeshClip = io.Custom("EX4D_MESHCLIP")

# MOGE_GEOMETRY, DA3_GEOMETRY: what the core's MoGe and Depth Anything 3 nodes put out on hosts that have them.
# Dictionaries; see ex4d_core/depth/pictures.py for the keys that are read.
MoGeGeometry = io.Custom("MOGE_GEOMETRY")
DA3Geometry = io.Custom("DA3_GEOMETRY")

# LOAD3D_CAMERA: camera_info of the core's Load 3D nodes, a dictionary or a list of such; see ex4d_core/trajectory/viewpoint.py
Load3DCamera = io.Custom("LOAD3D_CAMERA")

# MESH, VOXEL, FILE_3D: ComfyUI's own 3D types; the last on newer hosts
HostMesh = io.Custom("MESH")
HostVoxel = io.Custom("VOXEL")
File3D = io.Custom("FILE_3D")

# TRACKS: points followed through a video, of newer hosts and other packs: a dictionary
#   track_path (T, N, 2) pixels, track_visibility (T, N)
HostTracks = io.Custom("TRACKS")
