"""What is said of QUIC where aioquic may not be installed."""

from __future__ import annotations

CONGESTION_CONTROLS = ("cubic", "reno")
"""That aioquic has; the sender's is that of `--cc`, as it is with TCP."""
CONGESTION_CONTROL = "cubic"
DATAGRAM_BYTES = 1452
"""Of UDP: what an Ethernet frame holds behind IPv6's header, as path MTU discovery finds it (RFC 9000
section 14). aioquic does not look for it and takes 1200 unless told."""
