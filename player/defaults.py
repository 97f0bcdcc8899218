"""What holds where nobody says else.

Nothing is imported here: a command's help shows these figures, and help does not wait for players, links or
records.
"""

from __future__ import annotations

CHUNKS = 48
"""Chunks that published tests stream (of videos whose files list 49)."""

DEADLINE_S = 5.0
"""A chunk is 4 s: a policy that takes longer than that to choose it can never keep up."""

FALLBACK = "robustmpc"
"""It decides in 0.07 ms, and it doesn't take a long buffer for leave to ask for the top level, as BBA does:
one decision of BBA's in a careful session was seen to cost 20 s of stall."""

MU = {"linear": 4.3, "log": 2.66, "hd": 8.0}
"""Published stall weights, for the ladder of 300 to 4300 kbit/s (Mao et al., SIGCOMM 2017, table 1)."""

MU_NOTE = "the quality of the ladder's top: 4.3 with envivio, 40 with uhd; hd: 8"
"""What help says of a stall weight that nobody gives."""

RTT_MS = 80.0
"""Of a link, idle: LINK_RTT of the published simulators."""

CALL_MEDIA_SHARE = 0.5
"""Of a call's idle round trip: what its media meet on their way, before the bottleneck. The rest is the
feedback's, as where both ways are alike."""

QUEUE_MS = 200.0
"""What a bottleneck's queue holds, at the trace's mean rate."""

CONGESTION_CONTROL = "cubic"
"""The sender's; it is Linux's default."""

LINK_MODELS = PUBLISHED, TCP = ("published", "tcp")
"""By which sessions are computed: the published simulators' arithmetic, and the emulator's TCP."""

DEVICES = ("auto", "cpu", "cuda")
"""Where a policy's server may put its model."""
