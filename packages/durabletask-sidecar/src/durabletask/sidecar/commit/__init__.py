"""Carry out commands, store what they change, and notify those who wait."""
