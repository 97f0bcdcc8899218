"""The sender of a call, a process in the server's host: encoder, pacer, GCC and the policy.

`python -m testbed.calling.ends.sender SETTINGS`; `end_process.py` has what is said. Lines besides:
`decision`, `sent` (a second of the call), `state`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TextIO

from player.call.decide import WORDS
from player.call.observation import Interval
from player.call.policy import CallPolicy
from player.call.scored.qoe import CallQoE
from player.call.settings import CallSettings
from player.faults import one_line
from player.provenance import decided_by
from player.real.stdout import kept_for_us
from player.registry import CALL, PolicyError, load_policy
from player.sections import policy_section
from testbed.calling.ends.deciding import Deciding
from testbed.calling.ends.end_process import EndProcess, settings_of
from testbed.calling.ends.lateness import lateness_of
from testbed.calling.ends.sender_box import DECISIONS, ROWS
from testbed.calling.ends.sides import SenderEnd, prepare_sender, udp_socket
from testbed.process.children import TURN_S
from traces.commands import BAD_INPUT

prepare = prepare_sender
"""For the launcher."""

IN_LOOP = "gcc"
"""The policy that needs nobody to ask: every call carries it."""
_SEEN = ("receive_mbps", "queue_ms", "loss_ratio", "rtt_ms", "pacer_ms")
"""What of the interval a decision's line has."""
_SETTLED_S = 0.3
"""So long after its end a second of a call is told: what came late is in it."""


class SenderProcess:
    """A sender, from its settings to its last line."""

    def __init__(self, told: Mapping[str, Any], out: TextIO) -> None:
        self._call = CallSettings(**told["call"])
        self._told = told
        self._qoe = CallQoE(**told["qoe"])
        self._loaded = load_policy(told["policy"], real=True, seed=told["seed"], kind=CALL)
        self._policy: CallPolicy = self._loaded.policy  # type: ignore[assignment]
        self._inline = self._loaded.name == IN_LOOP
        every = 1 if getattr(self._policy, "every_feedback", False) else self._call.intervals_a_decision
        opened = udp_socket(told["here"], told["there"], told["port"])
        probes = bool(getattr(self._policy, "may_probe", False))
        self._end = SenderEnd(self._call, opened, told["seed"], every, self._inline, probes)
        self._deciding = Deciding(
            self._policy, self._call, self._end.box, self._end.told, self._end.wakes, self._reset()
        )
        self._process = EndProcess(out, self._end.stop)
        self._decisions = 0
        self._seconds = 0

    def _reset(self) -> str:
        """Begin with the policy; what went wrong, in words."""
        if self._inline:
            return ""
        try:
            self._policy.reset(self._call, self._told["seed"], self._qoe)
        except Exception as error:  # whatever it is costs the policy its answers alone
            return f"policy's reset raised {one_line(error)}"
        return ""

    def work(self) -> int:
        """All of it."""
        loaded = self._loaded
        decided = decided_by(loaded.spec, loaded.policy)
        if not self._inline:
            self._deciding.start()
        self._process.begin(self._end)
        self._process.say(
            "loaded",
            policy=policy_section(loaded, decided).to_json(),
            told_qoe=asdict(self._qoe),
            versions=dict(decided.versions),
        )
        for elapsed_s in self._process.looks(self._end, wait_for_word=False):
            self._tell(elapsed_s)
            self._state(elapsed_s)
        self._deciding.stop()
        self._tell(float("inf"))
        self._done()
        self._process.rest()
        return 0

    def _tell(self, elapsed_s: float) -> None:
        """What has been decided, and the seconds that are over."""
        control, kept = self._end.box.control[0], self._end.box.decisions
        while self._decisions < control["decisions"]:
            row = kept[self._decisions % DECISIONS]
            self._process.say("decision", **self._decision(row))
            self._decisions += 1
        rows = self._end.sender.seconds[0]
        while self._seconds < len(rows) and elapsed_s >= self._seconds + 1 + _SETTLED_S:
            told = dict(zip(rows.dtype.names, rows[self._seconds].item(), strict=True))
            self._process.say("sent", second=self._seconds, **told)
            self._seconds += 1

    def _decision(self, row: Any) -> dict[str, Any]:
        """A decision as a line."""
        by, reason = WORDS[int(row["by"])], ""
        if not self._inline and by != "guard":
            answer = self._deciding.answer_to(int(row["question"]))
            reason = answer.reason
            by = answer.by or by if by == "policy" else by
        late_ms = 1000 * (float(row["at_s"]) - float(row["asked_s"]))
        facts = self._end.box.facts[int(row["question"]) % ROWS].tolist()
        seen = dict(zip(Interval._fields, facts, strict=True))
        return {
            "at_s": float(row["at_s" if by == "guard" else "asked_s"]),
            "kbps": float(row["kbps"]),
            "by": by,
            "reason": reason,
            "decision_ms": 0.0 if by == "guard" else late_ms,
            "heard": bool(seen["heard"]),
            **{name: seen[name] for name in _SEEN},
        }

    def _state(self, elapsed_s: float) -> None:
        s, control = self._end.sender.record[0], self._end.box.control[0]
        rates = {"target_kbps": float(s["target_kbps"]), "rtt_ms": 1000 * float(s["rtt_s"])}
        self._process.say("state", elapsed_s=elapsed_s, bytes=int(control["bytes"]), **rates)

    def _done(self) -> None:
        box, s = self._end.box, self._end.sender.record[0]
        counts = ("packets", "bytes", "refused", "reports_heard", "requests_heard", "strange", "feedbacks")
        self._process.say(
            "done",
            interrupted=self._process.stopped,
            real_time=self._process.real_time,
            late=asdict(lateness_of(box.late, float(box.most_late_s[0]))),
            frames=int(s["frames"]),
            frames_dropped=int(s["frames_dropped"]),
            **{name: int(box.control[0][name]) for name in counts},
        )


def main(words: Sequence[str] | None = None) -> int:
    """Run the process; returns the exit status."""
    told = settings_of(words)
    sys.setswitchinterval(TURN_S)
    with kept_for_us() as out:  # what a policy prints may not mix with our lines
        try:
            return SenderProcess(told, out).work()
        except (PolicyError, OSError) as error:
            print(error, file=sys.stderr)
            return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
