"""The version, here because an install from the workspace's root has no metadata to ask."""

__version__ = "0.1.0"
