"""EX-4D on Wan2.1 I2V: adapter file, prior encoder, schedule, conditioning, and the patch of a ComfyUI MODEL.

The only part of ex4d_core that may import comfy, and only inside functions.
"""
