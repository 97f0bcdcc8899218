"""NADA (RFC 8698): one congestion signal of delay and loss; `nada_steps.py` says how."""

from __future__ import annotations

from player.call.compiled_rule import CompiledRule
from policies.call import nada_steps
from policies.call.rule import Rule


class NADA(Rule):
    """NADA by RFC 8698, one congestion signal of delay and loss.

    The video target of its section 5.2.2, with the call's floor and ceiling as RMIN and RMAX.
    """

    def compiled_rule(self) -> CompiledRule:
        """Its functions."""
        steps = nada_steps
        return CompiledRule(steps.new_state, steps.begin, steps.step, steps.take_probe_kbps, steps.step_all)
