"""Files on disk: written beside and renamed, .npz by the frame, downloads, the glTF container."""
