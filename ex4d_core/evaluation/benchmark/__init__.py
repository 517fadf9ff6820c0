"""The geometry half of the paper's claim on exact truth: seeded scenes, several ways to carry a clip to other cameras, grades.

``cases`` draws the scenes and what every target camera really sees, ``noise`` spoils the depth, ``methods`` make pictures,
``grade`` compares them, ``results`` sums up, ``page`` and ``charts`` show it.
"""
