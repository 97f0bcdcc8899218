"""What `fidelity.py` is asked to measure, checked before anything is made."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from testbed.checks.fidelity.plot import check_plot
from testbed.link.lane import check_congestion_control, delay_backend, require_tools
from testbed.link.settings import LinkSettings, check_carried
from testbed.process.errors import TestbedError
from testbed.session.options import capped, link_settings
from traces.families.catalogue import resolve_many
from traces.trace import Trace


def _lane_counts(text: str) -> list[int]:
    try:
        counts = [int(word) for word in text.split(",")]
    except ValueError:
        counts = [0]
    if not all(1 <= count <= 250 for count in counts):
        raise TestbedError(f"--lanes {text}: expected numbers from 1 to 250, such as 1,16,64")
    return counts


@dataclass(frozen=True)
class FidelityOptions:
    """What is measured."""

    counts: tuple[int, ...]
    """Numbers of lanes."""
    traces: tuple[Trace, ...]
    settings: LinkSettings
    backend: str


def asked_of(args: argparse.Namespace) -> FidelityOptions:
    """Check all that can be checked before anything is made.

    Raises:
        TestbedError, TraceError: what is wrong and the way out.
    """
    counts = _lane_counts(args.lanes)
    if not 5 <= args.seconds <= 3600:
        raise TestbedError(f"--seconds {args.seconds:g}: expected 5 to 3600")
    if not 0.01 <= args.window_s <= args.seconds / 5:
        raise TestbedError(f"--window-s {args.window_s:g}: expected 0.01 to a fifth of --seconds")
    if args.bucket_ms is not None and not 0 <= args.bucket_ms <= 1000:
        raise TestbedError(f"--bucket-ms {args.bucket_ms:g}: expected 0 to 1000")
    if args.repeat < 1:
        raise TestbedError(f"--repeat {args.repeat}: must be 1 or more")
    check_plot(args.plot)
    settings = link_settings(args)
    require_tools()
    check_congestion_control(settings.congestion_control)
    backend = delay_backend(settings.asked_backend)
    traces: list[Trace] = []
    for spec in args.trace:
        traces += [capped(trace, args.cap_mbps) for trace in resolve_many(spec, args.format)]
    for trace in traces:
        check_carried(trace, settings, backend)
    return FidelityOptions(tuple(counts), tuple(traces), settings, backend)
