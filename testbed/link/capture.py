"""Capture a session's headers at the player into a pcap file (`run.py --pcap`).

Runs inside the player's namespace, one process a lane: `python -m testbed.link.capture FILE`. Ends at end
of input on stdin. Frames keep their true length; only their first `SNAP_BYTES` are stored.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys

from scapy.utils import RawPcapWriter

from testbed.process.errors import TestbedError

SNAP_BYTES = 96
"""Ethernet, IPv4 and TCP with all its options."""

_ETH_P_ALL = 0x0003
_SO_TIMESTAMPNS = 35
_LINKTYPE_ETHERNET = 1
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
"""<linux/if_packet.h>"""


def capture(path: str, interface: str) -> int:
    """Write what passes `interface`, both ways, until stdin ends; how many frames.

    Raises:
        TestbedError: the file cannot be written.
    """
    frames = 0
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    opened.bind((interface, _ETH_P_ALL))
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_000_000)
    try:
        with RawPcapWriter(path, linktype=_LINKTYPE_ETHERNET, nano=True, snaplen=SNAP_BYTES) as writer:
            writer.write_header(None)
            print(json.dumps({"ready": True}), flush=True)
            while True:
                ready, _, _ = select.select([opened, sys.stdin], [], [])
                if opened in ready:
                    frame, ancillary, _, _ = opened.recvmsg(65536, 64)
                    seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2][:16])
                    writer.write_packet(
                        frame[:SNAP_BYTES],
                        sec=seconds,
                        usec=nanoseconds,
                        caplen=min(len(frame), SNAP_BYTES),
                        wirelen=len(frame),
                    )
                    frames += 1
                elif sys.stdin in ready:
                    _, missed = struct.unpack("=II", opened.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
                    if missed:
                        print(
                            f"the capture missed {missed} frames: the machine was too busy", file=sys.stderr
                        )
                    return frames
    except OSError as error:
        raise TestbedError(f"{path}: {error.strerror}") from None


def main() -> int:
    try:
        print(json.dumps({"frames": capture(sys.argv[1], sys.argv[2])}))
    except TestbedError as error:
        print(f"capture: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
