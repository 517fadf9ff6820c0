"""A small moving scene with exact colour and depth from any camera: the demo, and ground truth for tests.

``scene`` hands out frames, ``solids`` says what stands in it. ``raycast`` casts the rays, compiled by numba;
``raycast_torch`` does where numba is missing, more than twice as slow. The clip of a camera that stands still is
``raycast_still``'s everywhere. ``source_camera`` moves the camera that films the scene, if asked to. All of it is our own and
closed-form.

Convention: OpenCV world of the source camera's first frame (x right, y down, z forward) at the origin. The nearest
surface is about 2.6 away and the sky 60, the range that EX-4D's depth has in front of its background plate.
"""

from .scene import DemoScene
from .source_camera import CAMERA_MOVES, CameraMove
from .world import SUBJECT

__all__ = ["CAMERA_MOVES", "SUBJECT", "CameraMove", "DemoScene"]
