"""Calls without a network, many at once: the media of `player/call/media` over a computed path."""
