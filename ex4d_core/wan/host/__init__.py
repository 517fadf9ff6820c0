"""The only room that may import ComfyUI, inside functions: model patch, conditioning, sampling, the child of generate."""
