"""The server's figures for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
EARLY, LATE = "early", "late"
_SESSIONS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """One server's, in a registry of their own.

    Args:
        facts: what is served, as labels.
        sessions, waiting: how many there are when asked.
    """

    def __init__(
        self, facts: Mapping[str, str], sessions: Callable[[], int], waiting: Callable[[], int]
    ) -> None:
        self._registry = CollectorRegistry()
        here = self._registry
        Info("streambed_llm", "What is served.", registry=here).info(dict(facts))
        self.decisions = Counter("streambed_llm_decisions", "Answers, by who decided.", ["by"], registry=here)
        self.refusals = Counter(
            "streambed_llm_refusals", "Requests without an answer, by HTTP status.", ["status"], registry=here
        )
        self.undecided = Counter(
            "streambed_llm_undecided",
            "Requests without a decision in time: refused at once, as it would be late (early), or not"
            " decided by the deadline (late).",
            ["when"],
            registry=here,
        )
        for when in (EARLY, LATE):
            self.undecided.labels(when)
        self.decision_s = Histogram(
            "streambed_llm_decision_seconds",
            "From a request's arrival to its answer.",
            buckets=_SECONDS,
            registry=here,
        )
        self.queue_s = Histogram(
            "streambed_llm_queue_seconds",
            "From a request's arrival to its forward.",
            buckets=_SECONDS,
            registry=here,
        )
        self.forward_s = Histogram(
            "streambed_llm_forward_seconds", "One batched forward.", buckets=_SECONDS, registry=here
        )
        self.batch = Histogram(
            "streambed_llm_batch_sessions",
            "Sessions that shared a forward.",
            buckets=_SESSIONS,
            registry=here,
        )
        self.steps = Counter("streambed_llm_steps", "Steps that forwards took in.", registry=here)
        self.rows = Counter(
            "streambed_llm_rows",
            "Steps that forwards computed, those of contexts begun anew among them.",
            registry=here,
        )
        self.rebuilt = Counter(
            "streambed_llm_rebuilt_steps",
            "Steps beyond the first that came with the beginning of a session.",
            registry=here,
        )
        Gauge("streambed_llm_sessions", "Open sessions.", registry=here).set_function(sessions)
        Gauge("streambed_llm_waiting", "Requests in the queue.", registry=here).set_function(waiting)

    def text(self) -> bytes:
        """All of them in the text format 0.0.4."""
        return generate_latest(self._registry)
