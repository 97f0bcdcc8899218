"""How true the simulated player's links are: emulated sessions against the same sessions computed.

    python testbed/link_models.py compare RESULTS [RESULTS…] [--json] [--out FIGURE.png]
    python testbed/link_models.py fit RESULTS [RESULTS…]

`compare` plays the sessions of emulated records again over both link models. First with the records'
own decisions, chunk by chunk: the emulator's download time against the model's. Once every request
leaves when the emulator's did; once the model's own clock runs on, with the recorded gaps between
chunks, so that its errors add up. Then with the policy set free, as a user of the simulator has it:
simulated QoE against emulated; a policy file that a record names runs only with `--trust`. `fit` finds
the tcp model's constant on sessions that are not judged.
Emulated calls are simulated again by their own policies, and what comes of it is held against bounds.
Intervals are over traces. Exit status: 0 done, 1 a bound of calls is broken, 2 bad input.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from traces.handover import hand_over

    hand_over()

    from testbed.checks.link_models_command_line import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from analysis.bootstrap import SEED, Interval, expanded_tail, mean_interval
from analysis.calls.found import calls_are_in
from analysis.clusters import ClusterRule
from analysis.sessions import AnalysisError, SessionRecord, load_sessions
from player.record import FINISHED, RecordError
from player.registry import PolicyError
from player.simulated.tcp.link import HANDLING_MS
from testbed.again.told import Told
from testbed.again.trust import trusted_files
from testbed.checks.fidelity.plot import ENDINGS
from testbed.checks.link_models_command_line import parser
from testbed.checks.link_models_plot import draw
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from testbed.simulated.record_replay import (
    MODELS,
    Recorded,
    Replayed,
    errors_at_recorded_times,
    recorded,
    replay,
)
from traces.commands import carried_out, exit_with
from traces.trace import TraceError
from traces.words import counted

RESAMPLES = 1000
"""Of the traces; quantiles of all chunks are taken in each."""

GRID_MS = tuple(step / 2 for step in range(13))
"""Values of the constant that `fit` tries."""

ALL = "all"
OUT_OF_BOUNDS = 1
"""Exit status: of calls the simulator is not as true as it is to be."""
CLOCKS = {"recorded": "at_recorded_times", "own": "by_own_clock"}


# ---------------------------------------------------------------- what is compared


@dataclass(frozen=True)
class Replayable:
    """The sessions to play again, and how many were put aside."""

    sessions: tuple[Recorded, ...]
    invalid: int
    """Links that were not what their manifests say."""
    unfinished: int
    records: tuple[SessionRecord, ...]
    """Of the sessions, in their order."""

    @property
    def traces(self) -> int:
        return len({session.trace.sha256 for session in self.sessions})

    @property
    def chunks(self) -> int:
        return sum(len(session.chunks) for session in self.sessions)

    def __str__(self) -> str:
        return (
            f"{counted(len(self.sessions), 'emulated session')} over {counted(self.traces, 'trace')},"
            f" {counted(self.chunks, 'chunk')}"
            f"; left out: {self.invalid} invalid, {self.unfinished} unfinished"
        )


def find(places: Sequence[Path]) -> Replayable:
    """Read the sessions.

    Raises:
        TestbedError, AnalysisError, RecordError, OSError: what cannot be read or played again.
    """
    read = load_sessions(places)
    whole = [session for session in read.taken if session.end.outcome == FINISHED]
    if not whole:
        raise TestbedError(f"none of {len(read.taken)} sessions was played to its end; nothing to compare")
    return Replayable(
        tuple(recorded(session) for session in whole),
        len(read.left_out),
        len(read.taken) - len(whole),
        tuple(whole),
    )


def trusted(found: Replayable, trust: bool) -> list[str]:
    """What is to be said of the policy files that the records name, each once.

    Raises:
        TestbedError: there is one, and nobody has said that it may run, or it is not there.
    """
    said = [
        trusted_files(Told(held.record), session.policy, session.fallback, trust)
        for held, session in zip(found.records, found.sessions, strict=True)
    ]
    return list(dict.fromkeys(filter(None, said)))


def quantile_interval(
    groups: Sequence[NDArray[np.float64]], share: float | None, resamples: int | None = None
) -> Interval:
    """A quantile of all values (None: their mean), with an interval over groups.

    Args:
        groups: one array a cluster of traces; clusters are drawn with replacement, each with all it has.
        share: of the quantile, 0 to 1.
        resamples: bootstrap samples (default: RESAMPLES).
    """

    def figure(values: NDArray[np.float64]) -> float:
        return float(values.mean() if share is None else np.quantile(values, share))

    whole = figure(np.concatenate(groups))
    if len(groups) < 2:
        return Interval(whole, None, None, len(groups))
    random = np.random.default_rng(SEED)
    drawn = [
        figure(np.concatenate([groups[place] for place in random.integers(len(groups), size=len(groups))]))
        for _ in range(resamples or RESAMPLES)
    ]
    tail = expanded_tail(len(groups))
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Interval(whole, float(low), float(high), len(groups))


def _families(sessions: Sequence[Replayed]) -> Iterator[tuple[str, list[Replayed]]]:
    """Each family's sessions, in name order; then all, where there is more than one family."""
    names = sorted({one.session.family for one in sessions})
    for name in names:
        yield name, [one for one in sessions if one.session.family == name]
    if len(names) > 1:
        yield ALL, list(sessions)


def download_rows(sessions: Sequence[Replayed], rule: ClusterRule) -> list[dict[str, Any]]:
    """Relative errors of download times, by family, model and clock."""
    rows = []
    for family, mine in _families(sessions):
        for clock, field in CLOCKS.items():
            for model in MODELS:
                by_cluster: dict[str, list[float]] = {}
                for one in mine:
                    by_cluster.setdefault(rule.key(one.session.trace.name), []).extend(
                        getattr(one, field)[model]
                    )
                signed = [np.array(values) for values in by_cluster.values()]
                absolute = [np.abs(values) for values in signed]
                figures = {
                    "median": quantile_interval(absolute, 0.5),
                    "p95": quantile_interval(absolute, 0.95),
                    "bias": quantile_interval(signed, None),
                }
                row: dict[str, Any] = {
                    "family": family,
                    "traces": len({one.session.trace.sha256 for one in mine}),
                    "chunks": sum(len(one.session.chunks) for one in mine),
                    "clock": clock,
                    "model": model,
                }
                for name, interval in figures.items():
                    row[name], row[f"{name}_ci95"] = interval.mean, interval.bounds
                rows.append(row)
    return rows


def qoe_rows(sessions: Sequence[Replayed], rule: ClusterRule) -> list[dict[str, Any]]:
    """Simulated less emulated QoE of sessions that decide by themselves, by family, policy and model."""
    rows = []
    for family, mine in _families(sessions):
        for policy in dict.fromkeys(one.session.policy for one in mine):
            of_policy = [one for one in mine if one.session.policy == policy]
            for model in MODELS:
                interval = mean_interval(
                    [one.qoe[model] - one.session.emulated_qoe for one in of_policy],
                    [rule.key(one.session.trace.name) for one in of_policy],
                )
                rows.append(
                    {
                        "family": family,
                        "policy": policy,
                        "sessions": len(of_policy),
                        "emulated": float(np.mean([one.session.emulated_qoe for one in of_policy])),
                        "model": model,
                        "difference": interval.mean,
                        "difference_ci95": interval.bounds,
                        "mean_distance": float(
                            np.mean([abs(one.qoe[model] - one.session.emulated_qoe) for one in of_policy])
                        ),
                    }
                )
    return rows


# ---------------------------------------------------------------- what is shown


def _table(title: str, columns: Sequence[str], left: int) -> Table:
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for place, name in enumerate(columns):
        shown.add_column(name, justify="left" if place < left else "right")
    return shown


def _percent(value: float, bounds: list[float] | None) -> str:
    interval = "" if bounds is None else f" ({100 * bounds[0]:.2f} to {100 * bounds[1]:.2f})"
    return f"{100 * value:.2f} %{interval}"


def _download_table(rows: Sequence[dict[str, Any]]) -> Table:
    shown = _table(
        "Error of a chunk's download time against the emulator's, for the same decisions (95 % intervals over"
        " traces)",
        ("family", "clock", "model", "traces", "chunks", "median", "p95", "bias"),
        3,
    )
    for row in rows:
        figures = [_percent(row[name], row[f"{name}_ci95"]) for name in ("median", "p95", "bias")]
        cells = (row["family"], row["clock"], row["model"], str(row["traces"]), str(row["chunks"]), *figures)
        shown.add_row(*map(Text, cells))
    return shown


def _qoe_table(rows: Sequence[dict[str, Any]]) -> Table:
    shown = _table(
        "QoE (by the weights in the records) of whole sessions, each model's less the emulator's",
        (
            "family",
            "policy",
            "model",
            "sessions",
            "emulated",
            "difference",
            "95 % interval",
            "mean of |difference|",
        ),
        3,
    )
    for row in rows:
        bounds = row["difference_ci95"]
        shown.add_row(
            *map(
                Text,
                (
                    row["family"],
                    row["policy"],
                    row["model"],
                    str(row["sessions"]),
                    f"{row['emulated']:.3f}",
                    f"{row['difference']:+.3f}",
                    "-" if bounds is None else f"{bounds[0]:+.3f} to {bounds[1]:+.3f}",
                    f"{row['mean_distance']:.3f}",
                ),
            )
        )
    return shown


def _compare(args: argparse.Namespace) -> int:
    if calls_are_in(args.results):
        return _compare_calls(args)
    if args.invalid:
        raise TestbedError("--invalid is of calls; of videos untrue links are left out")
    return _compare_videos(args)


def _compare_videos(args: argparse.Namespace) -> int:
    """Both link models against emulated videos; 0."""
    if args.out is not None and (args.out.suffix not in ENDINGS or not args.out.parent.is_dir()):
        raise TestbedError(
            f"--out {args.out}: expected a name that ends in {', '.join(ENDINGS)} in a folder that is there"
        )
    found, rule = find(args.results), ClusterRule()
    for said in trusted(found, args.trust):
        print(f"note: {said}", file=sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):  # a user's policy may print; stdout is for --json
        sessions = [replay(session) for session in found.sessions]
    downloads, qoes = download_rows(sessions, rule), qoe_rows(sessions, rule)
    if args.out is not None:
        draw(sessions, args.out)
    if args.json:
        print(
            json.dumps(
                {
                    "sessions": len(found.sessions),
                    "traces": found.traces,
                    "chunks": found.chunks,
                    "invalid": found.invalid,
                    "unfinished": found.unfinished,
                    "handling_ms": HANDLING_MS,
                    "downloads": downloads,
                    "qoe": qoes,
                    "out": None if args.out is None else str(args.out),
                },
                allow_nan=False,
            ),
            flush=True,
        )
        return 0
    console = person_console(sys.stdout, as_object=False)
    console.print(Text(str(found)), soft_wrap=True)
    console.print(_download_table(downloads))
    console.print(Text())
    console.print(_qoe_table(qoes))
    if args.out is not None:
        console.print(Text(f"picture: {args.out}"), soft_wrap=True)
    return 0


def _compare_calls(args: argparse.Namespace) -> int:
    """The simulated call against emulated ones; 1 where a bound is broken."""
    from testbed.checks.call_models import ALL, all_within, call_rows, call_table, find_calls

    if args.out is not None:
        raise TestbedError("--out is of videos: of calls there is a table, and no picture; leave it out")
    with contextlib.redirect_stdout(sys.stderr):  # a user's policy may print; stdout is for --json
        found, said = find_calls(args.results, args.trust, args.invalid)
    for line in said:
        print(f"note: {line}", file=sys.stderr)
    rows = call_rows(found.calls, ClusterRule())
    within = all_within(rows)
    if args.json:
        report = {"calls": len(found.calls), "invalid": found.invalid, "unfinished": found.unfinished}
        print(json.dumps({**report, "shared": found.shared, "rows": rows, "within": within}), flush=True)
        return 0 if within else OUT_OF_BOUNDS
    console = person_console(sys.stdout, as_object=False)
    console.print(Text(str(found)), soft_wrap=True)
    console.print(call_table(rows))
    whose = f"over all families ({ALL})" if any(row["family"] == ALL for row in rows) else "over each family"
    console.print(Text(f"{'within' if within else 'OUT of'} bounds {whose}"), soft_wrap=True)
    return 0 if within else OUT_OF_BOUNDS


def fitted(sessions: Sequence[Recorded]) -> list[tuple[float, float]]:
    """(handling_ms, median of |relative error| over all chunks) for each value tried."""
    tried = []
    for handling_ms in GRID_MS:
        errors = [
            error
            for session in sessions
            for error in errors_at_recorded_times(session, session.link("tcp", handling_ms))
        ]
        tried.append((handling_ms, float(np.median(np.abs(errors)))))
    return tried


def _fit(args: argparse.Namespace) -> int:
    if calls_are_in(args.results):
        raise TestbedError(
            "fit: these records are of calls, of whose simulator no constant is fitted; compare them"
        )
    found = find(args.results)
    tried = fitted(found.sessions)
    best_ms, _ = min(tried, key=lambda one: one[1])
    if args.json:
        report = {
            "sessions": len(found.sessions),
            "traces": found.traces,
            "chunks": found.chunks,
            "invalid": found.invalid,
            "unfinished": found.unfinished,
            "handling_ms": best_ms,
            "tried": [{"handling_ms": value, "median": median} for value, median in tried],
        }
        print(json.dumps(report, allow_nan=False), flush=True)
        return 0
    shown = _table("Median error of a chunk's download time", ("HANDLING_MS", "median"), 0)
    for value, median in tried:
        shown.add_row(f"{value:g}", f"{100 * median:.3f} %")
    console = person_console(sys.stdout, as_object=False)
    console.print(Text(str(found)), soft_wrap=True)
    console.print(shown)
    console.print(
        Text(f"HANDLING_MS = {best_ms:g} fits best (player/simulated/tcp/link.py has {HANDLING_MS:g})")
    )
    return 0


ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {"compare": _compare, "fit": _fit}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)

    def work() -> int:
        return ACTIONS[args.action](args)

    expected = (TestbedError, AnalysisError, RecordError, TraceError, PolicyError)
    return carried_out("link_models.py", work, expected)


if __name__ == "__main__":
    exit_with(main)
