"""TRACK (Romero Rondon et al., 2020), mended: LSTMs for the head, for where others looked, and for both.

NetLLM's port trains it on normalised inputs against targets in degrees and feeds it the first true sample of
what it is to predict; `python -m policies.viewport.track --as-published` shows what that costs.
"""
