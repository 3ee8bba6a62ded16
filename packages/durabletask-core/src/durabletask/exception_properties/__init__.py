"""The official home of `ExceptionPropertiesProvider`; defined in `durabletask.failures`."""

from __future__ import annotations

from durabletask.failures import ExceptionPropertiesProvider

__all__ = ["ExceptionPropertiesProvider"]
