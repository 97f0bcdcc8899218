"""The unit in which the learned predictors count."""

UNIT = 30.0
"""Degrees that are 1."""
