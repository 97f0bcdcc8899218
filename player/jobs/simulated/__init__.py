"""The cluster, computed: an episode from decision to decision, in machine code."""
