"""Runs the pack inside real ComfyUI servers: find checkouts, start and end servers, talk to them, convert graphs."""
