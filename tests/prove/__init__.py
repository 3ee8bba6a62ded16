"""Prove by machine that the sidecar loses nothing; `hatch run prove`."""
