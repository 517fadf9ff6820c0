"""Geometry in files that other programs read."""
