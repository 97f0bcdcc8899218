"""`python -m policies.call`: what the rules of calls make of links of known rates, constant and halved."""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from player.call.checks import CallError
from player.call.compiled_rule import CompiledRule, HasCompiledRule
from player.call.path import CallPath
from player.call.settings import CallSettings
from player.registry import CALL, PolicyError, load_policy, split_policies
from policies.call.constant import HALVES_S, SETTLED_S, on_constant_links, seconds_to_give_way
from traces.commands import Parser, add_json_option, carried_out, exit_with

REFUSED = (PolicyError, CallError, ValueError)
LINKS_MBPS = (1.0, 1.5, 2.0, 3.0)
"""At 2 Mbit/s a saturated link spaces frames just under the 5 ms within which GCC takes them for a burst."""
HALVED_MBPS = 2.0


def parser() -> Parser:
    """The command line."""
    top = Parser(prog="python -m policies.call", description=__doc__)
    top.add_argument("--policy", default="gcc,copa,nada", help="rules, by commas (default: %(default)s)")
    top.add_argument("--duration-s", type=float, default=60.0, metavar="S", help="default: %(default)g")
    top.add_argument("--media-jitter-ms", type=float, default=0.0, metavar="MS", help="default: %(default)g")
    top.add_argument("--max-kbps", type=float, default=4000.0, metavar="KBPS", help="default: %(default)g")
    add_json_option(top)
    return top


def rule_of(spec: str) -> CompiledRule:
    """The compiled rule of a policy.

    Raises:
        PolicyError: it has none, or can't be had.
    """
    policy = load_policy(spec, kind=CALL).policy
    if not isinstance(policy, HasCompiledRule):
        raise PolicyError(f"policy {spec}: it is no compiled rule; take gcc, copa, nada or fixed:KBPS")
    return policy.compiled_rule()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    top = parser()
    options = top.parse_args(arguments)
    return carried_out(top.prog, lambda: _run(options), REFUSED)


def _run(options: argparse.Namespace) -> int:
    call = CallSettings(duration_s=options.duration_s, max_kbps=options.max_kbps)
    if call.duration_s <= max(SETTLED_S, HALVES_S) + 1.0:
        raise CallError(f"call: duration {call.duration_s:g} s; expected over {HALVES_S + 1:g} s")
    path = CallPath(media_jitter_ms=options.media_jitter_ms)
    rules = {spec: rule_of(spec) for spec in split_policies(options.policy)}
    constant = {spec: on_constant_links(rule, LINKS_MBPS, call, path) for spec, rule in rules.items()}
    waits_s = {spec: seconds_to_give_way(rule, HALVED_MBPS, call, path) for spec, rule in rules.items()}
    if options.json:
        rows = {spec: [asdict(row) for row in found] for spec, found in constant.items()}
        print(json.dumps({"constant": rows, "halved_s": {k: v for k, v in waits_s.items() if v < 1e9}}))
        return 0
    print(f"{call.duration_s:g} s a call, looked at from {SETTLED_S:g} s on; shares of the payload rate")
    print(f"{'policy':<12}{'Mbit/s':>7}{'share':>8}{'p5-p95':>12}{'queue p50/p95/max ms':>24}{'dropped':>9}")
    for spec, found in constant.items():
        for row in found:
            spread = f"{row.share_p5:.2f}-{row.share_p95:.2f}"
            delays_ms = (row.queue_p50_ms, row.queue_p95_ms, row.queue_max_ms)
            queue = " / ".join(f"{max(delay_ms, 0.0):.0f}" for delay_ms in delays_ms)
            print(
                f"{spec:<12}{row.link_mbps:>7g}{row.share:>8.2f}{spread:>12}{queue:>24}{row.dropped_packets:>9}"
            )
    for spec, wait_s in waits_s.items():
        print(f"{spec}: {HALVED_MBPS:g} Mbit/s that halve: target below what is left after {wait_s:.2f} s")
    return 0


if __name__ == "__main__":
    exit_with(main)
