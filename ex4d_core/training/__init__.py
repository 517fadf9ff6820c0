"""Training the adapter: simulated masks of single-camera clips, and Wan's network with what is trained on it.

The facts behind the numbers are in `objective`; what the network is, in ``model``.
"""
