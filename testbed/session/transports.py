"""The protocol by which a lane's chunks are fetched: whether it can be had there, and what goes with it."""

from __future__ import annotations

from collections.abc import Mapping

from player.transport.names import H1, H3, TransportError, refuse_transport
from testbed.link.lane import ORIGIN_PORT, SERVER_IP
from testbed.link.settings import LinkSettings
from testbed.machine.load import SESSION_LOAD
from testbed.process.errors import TestbedError
from testbed.server.certificate import told_origin, told_player
from traces.trace import Trace

QUIC_MBPS_A_PROCESSOR = 40.0
"""Of both ends together: 42 Mbit of a chunk for each second of a processor's time (aioquic 1.3.0, 20 MB over
loopback on an AMD EPYC; HTTP/2 carries 760 so, HTTP/1.1 5400)."""
QUIC_MAX_MBPS = 40.0
"""Where both ends keep one processor busy: half of a machine of two."""


def able_transport(transport: str, trace: Trace, settings: LinkSettings, part_s: float | None = None) -> None:
    """Refuse a protocol that can't be had, or not over this link.

    Args:
        part_s: chunks of a live stream come in parts so long.

    Raises:
        TestbedError: what is missing or asked in vain, and the way out.
    """
    try:
        refuse_transport(transport, settings.congestion_control)
    except TransportError as error:
        raise TestbedError(f"--transport {error}") from None
    if transport != H1 and part_s is not None:
        raise TestbedError(
            f"--transport {transport}: only HTTP/1.1 tells where a part of a chunk ends; leave --part-s away"
        )
    highest = max(trace.rate_mbps[1:])
    if transport == H3 and highest > QUIC_MAX_MBPS:
        raise TestbedError(
            f"trace {trace.name} reaches {highest:g} Mbit/s; a QUIC in Python carries {QUIC_MAX_MBPS:g} here."
            f" Cap it in the open with --cap-mbps {QUIC_MAX_MBPS:g} (recorded), or take a slower trace"
        )


def lane_load(transport: str, trace: Trace) -> float:
    """Processors that a lane keeps busy in the mean."""
    return SESSION_LOAD + (trace.mean_mbps / QUIC_MBPS_A_PROCESSOR if transport == H3 else 0.0)


def origin_url(transport: str, path: str) -> str:
    """Of something that a lane's origin has."""
    scheme = "http" if transport == H1 else "https"
    return f"{scheme}://{SERVER_IP}:{ORIGIN_PORT}/{path}"


def origin_variables(transport: str) -> Mapping[str, str]:
    """Environment of a lane's origin."""
    return {} if transport == H1 else told_origin(SERVER_IP)


def player_variables(transport: str) -> Mapping[str, str]:
    """Environment of a lane's players."""
    return {} if transport == H1 else told_player(SERVER_IP)
