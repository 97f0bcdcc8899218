"""Send datagrams down a lane at even times, as a call's pacer would; started by `call_path.py`.

JSON on stdin: a line {"server_pid"}, and for each phase a line {"t0": MONOTONIC, "gap_s", "packets"}; each
phase is answered by how late the datagrams left. A datagram begins with its number and the wall clock when it
was sent (`HEAD`). The process runs in real time, so that lateness of its own is not taken for the path's.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from typing import Any

from testbed.link.lane import PLAYER_IP, SERVER_IP
from testbed.link.namespace import network_namespace
from testbed.process.children import FILLER_PRIORITY, real_time, undisturbed

PORT = 4465
PAYLOAD_BYTES = 1200
WIRE_BYTES = PAYLOAD_BYTES + 8 + 20 + 14
"""With UDP's, IP's and Ethernet's headers, as tc counts."""
HEAD = struct.Struct("!Id")


def phase(sender: socket.socket, t0: float, gap_s: float, packets: int) -> dict[str, Any]:
    """Send one phase; how late its datagrams left, ms."""
    padding = bytes(PAYLOAD_BYTES - HEAD.size)
    late_s = []
    for number in range(packets):
        due = t0 + number * gap_s
        rest_s = due - time.monotonic()
        if rest_s > 0:
            time.sleep(rest_s)
        late_s.append(time.monotonic() - due)
        sender.send(HEAD.pack(number, time.time()) + padding)
    ordered = sorted(late_s)
    return {
        "late_p50_ms": round(1000 * ordered[len(ordered) // 2], 3),
        "late_p99_ms": round(1000 * ordered[int(0.99 * len(ordered))], 3),
        "late_max_ms": round(1000 * ordered[-1], 3),
    }


def main() -> int:
    spec = json.loads(sys.stdin.readline())
    with network_namespace(spec["server_pid"]):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((SERVER_IP, PORT))
    sender.connect((PLAYER_IP, PORT))
    granted = real_time(FILLER_PRIORITY)
    undisturbed()
    print(json.dumps({"real_time": granted}), flush=True)
    for line in sys.stdin:
        print(json.dumps(phase(sender, **json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
