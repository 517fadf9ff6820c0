"""One topology over time: a reference mesh deformed onto the meshes of all other frames."""
