"""What is shown before and after work, without ComfyUI: the editor's scene file, pictures of paths, small films."""
