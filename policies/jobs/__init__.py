"""Schedulers of jobs on a cluster."""
