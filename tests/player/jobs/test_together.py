"""Episodes side by side: each comes out as alone, and a fault is each one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from player.jobs.observation import JobsObservation
from player.jobs.policy import Assignment, JobsPolicy, SchedulesTogether
from player.jobs.settings import ClusterSettings
from player.jobs.simulated.playing import play_jobs, play_together
from policies.jobs.release import Release
from traces.jobs.generator import member

SEQUENCES = [member(40_100 + number, 2 + number) for number in range(4)]
CLUSTER = ClusterSettings()


class Together(Release):
    """The rule, asked for many at once. Its first question of an episode of three jobs fails."""

    def __init__(self, most: int = 3, fails: str = "") -> None:
        super().__init__()
        self.most, self.fails, self.asked = most, fails, [0]
        self._begun = False

    def reset(self, cluster: ClusterSettings, seed: int) -> None:
        self._begun = True
        if self.fails == "reset":
            raise ValueError("no model")

    def another(self) -> JobsPolicy:
        made = Together(self.most, self.fails)
        made.asked = self.asked
        return made

    def together(self) -> int:
        return self.most

    def ready_together(self) -> int:
        if self.fails == "ready":
            raise ValueError("no model")
        return self.most

    def schedule_together(self, asked: Sequence[tuple[JobsPolicy, JobsObservation]]) -> Sequence[object]:
        self.asked.append(len(asked))
        if self.fails == "all":
            raise RuntimeError("out of memory")
        answers: list[object] = [policy.schedule(seen) for policy, seen in asked]
        if self.fails == "one" and len(self.asked) == 2:
            answers[1] = TimeoutError("late")
        return answers


def alone(policy: Any) -> list[Any]:
    return [play_jobs(sequence, CLUSTER, policy, 5) for sequence in SEQUENCES]


def test_each_comes_out_as_alone_so_many_at_once() -> None:
    policy = Together()
    assert isinstance(policy, SchedulesTogether)
    together = play_together(SEQUENCES, CLUSTER, policy, 5)
    assert [one.rows for one in together] == [one.rows for one in alone(Release())]
    assert max(policy.asked) == 3 and {one.end.outcome for one in together} == {"finished"}
    assert all(set(one.end.decided_by) == {"policy"} for one in together)


def test_one_question_that_fails_is_the_fallback_s_for_that_episode() -> None:
    played = play_together(SEQUENCES, CLUSTER, Together(4, "one"), 5)
    assert [one.end.decided_by.get("fallback", 0) for one in played] == [0, 1, 0, 0]
    assert played[1].end.reason == "TimeoutError: late" and played[0].end.reason == ""


def test_what_fails_for_all_is_each_one_s_fault() -> None:
    for fails, reason in (("all", "RuntimeError: out of memory"), ("reset", "ValueError: no model")):
        played = play_together(SEQUENCES[:2], CLUSTER, Together(4, fails), 5)
        assert [set(one.end.decided_by) for one in played] == [{"fallback"}] * 2
        assert [one.end.reason for one in played] == [reason] * 2
        assert not any(one.episode.stuck for one in played)


def test_who_can_t_be_made_ready_plays_one_by_one() -> None:
    policy = Together(4, "ready")
    played = play_together(SEQUENCES[:2], CLUSTER, policy, 5)
    assert max(policy.asked) == 1
    assert [one.rows for one in played] == [one.rows for one in alone(Release())[:2]]


def test_an_answer_that_is_none_stands_for_nothing() -> None:
    class Wrong(Together):
        def another(self) -> JobsPolicy:
            return Wrong()

        def schedule_together(self, asked: Sequence[tuple[JobsPolicy, JobsObservation]]) -> Sequence[object]:
            return [Assignment(10_000, 1) for _ in asked]

    (played, _) = play_together(SEQUENCES[:2], CLUSTER, Wrong(), 5)
    assert played.end.decided_by == {"fallback": played.end.decisions}
    assert "not schedulable" in played.end.reason
