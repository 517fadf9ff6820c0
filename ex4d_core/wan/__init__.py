"""EX-4D on Wan2.1 I2V, host-free: adapter file, prior encoder, schedule, prepared clip. What needs ComfyUI is in host/."""
