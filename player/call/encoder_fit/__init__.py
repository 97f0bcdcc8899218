"""The encoder model's figures, fitted to what x264 really makes; `x264.json` has them with their command."""
