"""Copa: a window that aims at two packets in the queue; `copa_steps.py` says how."""

from __future__ import annotations

from player.call.compiled_rule import CompiledRule
from policies.call import copa_steps
from policies.call.rule import Rule


class Copa(Rule):
    """Copa by the paper, a window that aims at two packets in the queue.

    The encoder's target is cwnd / RTTstanding.
    """

    def compiled_rule(self) -> CompiledRule:
        """Its functions."""
        steps = copa_steps
        return CompiledRule(steps.new_state, steps.begin, steps.step, steps.take_probe_kbps, steps.step_all)
