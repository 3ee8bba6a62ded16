"""Carry out commands, store what they change, and say who has to hear of it."""
