"""The server's figures for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
EARLY, LATE = "early", "late"
_SESSIONS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """One server's, in a registry of their own.

    Args:
        facts: what is served, as labels; a task each.
        sessions, waiting: how many there are when asked.
    """

    def __init__(
        self, facts: Sequence[Mapping[str, str]], sessions: Callable[[], int], waiting: Callable[[], int]
    ) -> None:
        self._registry = CollectorRegistry()
        served = Gauge("streambed_llm_info", "What is served.", list(facts[0]), registry=self._registry)
        for labels in facts:
            served.labels(**labels).set(1)
        self.decisions = self._count("decisions", "Answers, by task and who decided.", "task", "by")
        self.refusals = self._count("refusals", "Requests without an answer, by HTTP status.", "status")
        self.undecided = self._count(
            "undecided",
            "Requests without a decision in time: refused at once, as it would be late (early), or not"
            " decided by the deadline (late).",
            "when",
        )
        for when in (EARLY, LATE):
            self.undecided.labels(when)
        self.decision_s = self._spread("decision_seconds", "From a request's arrival to its answer.")
        self.queue_s = self._spread("queue_seconds", "From a request's arrival to its forward.")
        self.forward_s = self._spread("forward_seconds", "One batched forward.", _SECONDS, "task")
        self.batch = self._spread("batch_sessions", "Sessions that shared a forward.", _SESSIONS, "task")
        self.steps = self._count("steps", "Steps that forwards took in.")
        self.rows = self._count(
            "rows", "Steps that forwards computed, those of contexts begun again among them."
        )
        self.rebuilt = self._count(
            "rebuilt_steps", "Steps beyond the first that came with the beginning of a session."
        )
        self._now("sessions", "Open sessions.", sessions)
        self._now("waiting", "Requests in the queue.", waiting)

    def _count(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"streambed_llm_{name}", says, labels, registry=self._registry)

    def _spread(self, name: str, says: str, buckets: Sequence[float] = _SECONDS, *labels: str) -> Histogram:
        return Histogram(f"streambed_llm_{name}", says, labels, buckets=buckets, registry=self._registry)

    def _now(self, name: str, says: str, asked: Callable[[], int]) -> None:
        Gauge(f"streambed_llm_{name}", says, registry=self._registry).set_function(asked)

    def text(self) -> bytes:
        """All of them in the text format 0.0.4."""
        return generate_latest(self._registry)
