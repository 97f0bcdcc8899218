"""Predictors of where a viewer will look."""
