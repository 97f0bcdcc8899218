"""What a link can carry over time: the Trace type, its file formats, and generated families of traces."""
