"""An animated mesh of one object, from meshes of single frames that were made independently of each other."""
