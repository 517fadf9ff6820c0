"""4DNeX on Wan2.1 I2V, host-free: its adapter files, what it is conditioned on, its schedule and its latent's two halves."""
