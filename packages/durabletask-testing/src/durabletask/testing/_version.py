"""The version, kept here because an install from the workspace's root has no metadata for it."""

__version__ = "0.1.0"
