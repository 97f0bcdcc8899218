"""The question: what was asked, and over which traces, videos and links."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.bootstrap import CONFIDENCE, QUANTILE_RESAMPLES, RESAMPLES, SEED
from analysis.comparison import notes
from analysis.report.parts.blocks import Block, Bullets, Paragraph, Section
from analysis.report.parts.study import Study
from analysis.report.parts.table_rendering import LEFT, Column, RowGroup, Table, number, word
from analysis.report.sections import missing
from analysis.style import BOUND, is_bound
from player.perceived.p1203 import P1203Scoring
from player.qoe import FILE


def facts(study: Study) -> tuple[tuple[str, str], ...]:
    """The setting in figures, for the head of the page."""
    here, found = missing.counted_of(study)
    seen = [one.seen for one in study.conditions]
    told = (
        f" ({seen.count(True)} seen, {seen.count(False)} unseen)"
        if any(one is not None for one in seen)
        else ""
    )
    points = f" at {study.points} points" if study.points else ""
    traces = len({one.case.trace_sha256 for one in study.outcomes.counted})
    return (
        ("Sessions that count", f"{here:,} of {found:,} found, {study.kind}"),
        ("Policies", str(len(study.policies))),
        ("Settings", f"{study.settings}{points}{told}"),
        ("Traces", f"{traces:,}"),
        ("QoE per chunk", study.weights),
        ("Baseline", study.baseline or f"none: {study.no_baseline}"),
    )


def setting(study: Study) -> Section:
    """What was asked, and over what."""
    sweep, blocks = study.sweep, list[Block]()
    blocks.append(Paragraph(_how(study)))
    blocks.append(_settings_table(study))
    blocks.append(Paragraph(_scored(study)))
    blocks.append(
        Paragraph(
            "Sessions with the same trace, start, video and link are pairs. Seeds and repetitions are"
            " averaged first."
            f" Intervals hold {CONFIDENCE:.0%}: {RESAMPLES:,} bootstrap resamples over {study.rule}"
            f" ({QUANTILE_RESAMPLES:,} for quantiles), seed {SEED:_}.".replace("_", " ")
            + f" {study.rule.counted(study.outcomes.traces)}."
            + " Where an interval of a difference holds 0, this report says tie."
        )
    )
    said = notes(study.comparison) if study.comparison is not None else []
    if any(is_bound(policy) for policy in study.policies):
        said.append(f"{BOUND} is told the future of the network: it is a bound, not a rival")
    if said:
        blocks.append(Bullets(tuple(("", f"{text}.") for text in said)))
    if sweep is not None and sweep.lanes:
        blocks.append(Paragraph(f"Lanes: {sweep.lanes}."))
    return Section("setting", "The question and the setting", tuple(blocks))


def _scored(study: Study) -> str:
    """What QoE is here."""
    ratio = "Stall ratio is stall / (stall + played), startup left out."
    if isinstance(study.scoring, P1203Scoring):
        return (
            f"QoE is a session's mean opinion score (1 to 5) by ITU-T P.1203, mode 0, watched on"
            f" {study.scoring.viewing}: of the bitrate, size and rate of each chunk's pictures, of startup"
            f" and of stalls; sound is taken to be the best. {ratio}"
        )
    return (
        f"QoE of a chunk is q(R) − {_mu(study)} × stall in seconds − {study.scoring.smooth:g} ×"
        f" |change of q|, with {QUALITY[study.scoring.kind]}{_of_mu(study)}. A session's QoE is the mean"
        f" over its chunks but the first, whose whole download is startup. {ratio}"
    )


def _mu(study: Study) -> str:
    """The stall weight; its letter where each ladder has its own."""
    return "mu" if study.of_several_ladders else f"{study.outcomes.counted[0].scored.mu:g}"


def _of_mu(study: Study) -> str:
    """Where the stall weight is from, if nobody gave it."""
    if study.scoring.mu is not None or study.scoring.kind == "hd":
        return ""
    of = "each ladder's" if study.of_several_ladders else "the ladder's"
    return f" and mu, what a second of stall costs, the q of {of} top level ({study.weights})"


def _how(study: Study) -> str:
    """How the sessions came to be."""
    return {
        "simulated": "Sessions were computed, not streamed: the simulated player downloads each chunk by"
        " the arithmetic"
        " of a link model, and a decision takes no time unless the sweep gives it some.",
        "emulated": "Sessions were streamed by real players over emulated links: kernel TCP through a"
        " shaped bottleneck,"
        " each link checked against its trace by the kernel's own counters.",
    }.get(
        study.kind,
        "Some sessions were streamed over emulated links, others computed by the simulated player. They"
        " are never"
        " paired with each other.",
    )


QUALITY = {
    "linear": "q the bitrate in Mbit/s",
    "log": "q = ln(R / lowest R)",
    "hd": "q a table of 1 to 20 over the usual ladder",
    FILE: "q each chunk's and level's, of a file",
}


def _settings_table(study: Study) -> Table:
    planned = {one.label: one for one in study.sweep.settings} if study.sweep else {}
    rows = []
    for one in study.conditions:
        first = one.outcomes.counted[0].case
        videos = sorted({each.case.video for each in one.outcomes.counted})
        families = sorted({each.case.family for each in one.outcomes.counted})
        plan = planned.get(first.condition[0])
        link = ", ".join((first.link_label.partition(", player ")[0], *(plan.besides if plan else ())))
        seen = {True: "seen", False: "unseen", None: "–"}[one.seen]
        rows.append(
            (
                word(one.name),
                word(seen),
                word(_listed(families)),
                word(_listed(videos)),
                word(link),
                number(one.traces, "d"),
                number(len(one.policies), "d"),
                number(len(one.outcomes.counted), "d"),
            )
        )
    columns = (
        Column("setting", ("setting",), LEFT),
        Column("by the policies", ("seen",), LEFT),
        Column("traces of", ("families",), LEFT),
        Column("video", ("videos",), LEFT),
        Column("link", ("link",), LEFT),
        Column("traces", ("traces",)),
        Column("policies", ("policies",)),
        Column("sessions", ("sessions",)),
    )
    each = "a row a point of their axes" if study.place == "point" else "a row each"
    caption = f"Settings, {each}, and how many sessions count there."
    return Table("settings", caption, columns, (RowGroup(None, tuple(rows)),), wide=True)


def _listed(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
