"""4DNeX on a ComfyUI model: its adapter, what it is conditioned on, the published run, and the decoding of both halves."""
