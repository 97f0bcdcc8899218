"""Jobs of a cluster: graphs of stages, how long their tasks take, and when they arrive."""
