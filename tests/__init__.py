"""Tests, and what attacks, loads, compares and records.

A regular package, because some distributions install a top-level `tests` of their own.
"""
