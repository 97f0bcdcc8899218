"""`python -m policies.reference`: mean QoE of policies over many traces, as papers report it.

One session a trace, files in name order, over the `published` link (`simulated/link_published.py`): 48 chunks
from time 0, first level 0, the first chunk left out of the mean. A policy is one object for all
traces, so that `mpc-published` carries its errors from file to file as the public code does. With the
published FCC and Norway traces and the chunk sizes of Pensieve's video the published figures of BBA
and MPC come out; anybody who has those files can repeat it.
"""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from player.commands.options import add_scoring_options, add_video_option, scoring
from player.defaults import CHUNKS
from player.faults import raised
from player.policy import Policy
from player.qoe import QoE
from player.registry import PolicyError, load_policy, split_policies
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from player.video.video import Video, VideoError
from traces.commands import Parser, add_json_option, carried_out, exit_with
from traces.families.catalogue import resolve_many
from traces.totals import running_total
from traces.trace import Trace, TraceError

REFUSED = (PolicyError, TraceError, VideoError, ValueError)


@dataclass(frozen=True)
class Mean:
    """A policy's mean over all sessions."""

    policy: str
    sessions: int
    qoe: float


def session_qoe(
    video: Video, trace: Trace, policy: Policy, qoe: QoE, chunks: int, delay_ms: float = 0.0
) -> float:
    """Mean QoE of one session's chunks, the first left out."""
    rows, _ = simulate(
        video, trace, policy, seed=0, qoe=qoe, link=PublishedLink(), chunks=chunks, delay_ms=delay_ms
    )
    levels, stalls_s = [row.level for row in rows], [row.stall_s for row in rows]
    values = qoe.per_chunk(levels, stalls_s, video.ladder_kbps)
    return running_total(values) / len(values)


def mean_over(traces: Sequence[Trace], video: Video, spec: str, qoe: QoE, chunks: int = CHUNKS) -> Mean:
    """Mean over sessions of one policy, one object for all.

    Raises:
        PolicyError: a policy that cannot be had.
        VideoError: the video has fewer than `chunks` chunks.
    """
    loaded = load_policy(spec)
    try:
        values = [session_qoe(video, trace, loaded.policy, qoe, chunks, loaded.delay_ms) for trace in traces]
    except SystemExit as error:  # it would end the command without a word
        raise PolicyError(f"policy {spec}: {raised(error, loaded.policy, 'a decision')}") from None
    return Mean(spec, len(values), running_total(values) / len(values))


def parser() -> Parser:
    """The command line."""
    top = Parser(prog="python -m policies.reference", description=__doc__)
    what = top.add_argument_group("what to stream")
    what.add_argument(
        *("--traces", "--trace"),
        required=True,
        metavar="SPEC",
        help="a folder or file of traces, or a family's 4g[0:100]",
    )
    add_video_option(what)
    what.add_argument("--chunks", type=int, default=CHUNKS, help="of the video (default: %(default)s)")
    what.add_argument(
        "--policy", default="bba,mpc-published,robustmpc", help="by commas (default: %(default)s)"
    )
    add_scoring_options(top)
    add_json_option(top.add_argument_group("output"))
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    top = parser()
    options = top.parse_args(arguments)
    if options.chunks < 2:
        top.error(f"--chunks {options.chunks}: must be 2 or more, as the first does not count")
    return carried_out(top.prog, lambda: _run(options), REFUSED)


def _run(options: argparse.Namespace) -> int:
    traces, video = resolve_many(options.traces), load_video(options.video)
    qoe = scoring(options).on(video.ladder_kbps)
    specs = split_policies(options.policy)
    means = [mean_over(traces, video, spec, qoe, options.chunks) for spec in specs]
    if options.json:
        weights = asdict(qoe)
        print(json.dumps({"qoe": weights, "video": video.name, "policies": [asdict(mean) for mean in means]}))
        return 0
    print(f"QoE {qoe.in_words(video.ladder_kbps)}; {video.name}, {options.chunks} chunks; {options.traces}")
    width = max(len(spec) for spec in ["policy", *specs])
    print(f"{'policy':<{width}}{'n':>6}{'mean QoE':>12}")
    for mean in means:
        print(f"{mean.policy:<{width}}{mean.sessions:>6}{mean.qoe:>12.4f}")
    return 0


if __name__ == "__main__":
    exit_with(main)
