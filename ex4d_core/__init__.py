"""EX-4D without ComfyUI: depth, watertight mesh, camera trajectory, rendering, adapter.

The data's path is the package's layout::

    video -> depth/ -> mesh -> trajectory -> render/ -> masks -> wan/

Conventions, everywhere inside this package:

* Camera frame: OpenCV (x right, y down, z forward). The source camera is the identity.
* Poses are ``world_to_camera`` matrices, (T, 4, 4) float32. Depth is planar z, in the same unit.
* Intrinsics are in pixels with pixel centres at +0.5: ``u = fx * x / z + cx``.
* Images are float32 0..1, (T, H, W, 3); masks (T, H, W), 1 = seen, 0 = hole.
* Angles are degrees in public functions and files, radians inside.
"""

__version__ = "0.1.0"
