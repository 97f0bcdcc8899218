"""What stands where on the page: the study's tables and figures with the words around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib
from matplotlib.figure import Figure

from analysis.bootstrap import CONFIDENCE, QUANTILE_RESAMPLES, RESAMPLES, SEED
from analysis.compare import notes
from analysis.figures import draw_cdf, draw_scatter
from analysis.outcomes import Outcomes
from analysis.report.page import Block, Bullets, Code, Paragraph, Section
from analysis.report.parts.pictures import Picture, picture
from analysis.report.parts.study import Study, per_setting
from analysis.report.parts.tables import LEFT, Column, Group, Table, counted, number, word
from analysis.report.topics import deciding, headline, links, missing, repeat, sharing, stress
from analysis.report.topics.delays import draw_delays
from analysis.report.topics.differences import draw_differences
from analysis.report.topics.generalization import common_values, draw_generalization
from analysis.sessions import AnalysisError
from analysis.style import BOUND, RC, is_bound


def facts(study: Study) -> tuple[tuple[str, str], ...]:
    """The setting in figures, for the head of the page."""
    here, found = missing.counted_of(study)
    seen = [one.seen for one in study.conditions]
    told = (
        f" ({seen.count(True)} seen, {seen.count(False)} unseen)"
        if any(one is not None for one in seen)
        else ""
    )
    traces = len({one.setting.trace_sha256 for one in study.outcomes.counted})
    return (
        ("Sessions that count", f"{here:,} of {found:,} found, {study.kind}"),
        ("Policies", str(len(study.policies))),
        ("Settings", f"{len(study.conditions)}{told}"),
        ("Traces", f"{traces:,}"),
        ("QoE per chunk", f"{study.qoe}"),
        ("Baseline", study.baseline or f"none: {study.no_baseline}"),
    )


def results(study: Study) -> Section:
    """The results in a sentence a policy, a table at a glance, and the figure of differences."""
    blocks: list[Block] = []
    if _partial(study):
        blocks.append(Paragraph(missing.state_sentence(study), "warning"))
    invalid = len(study.outcomes.invalid)
    if invalid:
        blocks.append(
            Paragraph(
                f"{counted(invalid, 'session')} ran over links that were not what they should be, and are in"
                " no table or figure of results; the section on links says why.",
                "warning",
            )
        )
    blocks.append(Bullets(tuple(headline.in_short(study))))
    glance = headline.glance_table(study)
    if glance is not None:
        blocks.append(glance)
    return Section("results", "Results in short", tuple(blocks))


def _partial(study: Study) -> bool:
    return study.sweep is not None and study.sweep.count("done") < len(study.sweep.sessions)


def setting(study: Study) -> Section:
    """What was asked, and over what."""
    sweep, blocks = study.sweep, list[Block]()
    blocks.append(Paragraph(_how(study)))
    blocks.append(_settings_table(study))
    blocks.append(
        Paragraph(
            f"QoE of a chunk is q(R) − {study.qoe.mu:g} × stall in seconds − {study.qoe.smooth:g} ×"
            " |change of q|, with"
            f" {QUALITY[study.qoe.kind]}. A session's QoE is the mean over its chunks but the first,"
            " whose whole download"
            " is startup. Stall ratio is stall / (stall + played), startup left out."
        )
    )
    blocks.append(
        Paragraph(
            "Sessions with the same trace, start, video and link are pairs. Seeds and repetitions are"
            " averaged first."
            f" Intervals hold {CONFIDENCE:.0%}: {RESAMPLES:,} bootstrap resamples over {study.rule}"
            f" ({QUANTILE_RESAMPLES:,} for quantiles), seed {SEED:_}.".replace("_", " ")
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
}


def _settings_table(study: Study) -> Table:
    planned = {one.label: one for one in study.sweep.settings} if study.sweep else {}
    rows = []
    for one in study.conditions:
        first = one.outcomes.counted[0].setting
        videos = sorted({each.setting.video for each in one.outcomes.counted})
        families = sorted({each.setting.family for each in one.outcomes.counted})
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
    caption = "Settings, and how many sessions count in each."
    return Table("settings", caption, columns, (Group(None, tuple(rows)),), wide=True)


def _listed(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _drawn(name: str, make: Callable[[], Figure | None], caption: str, alt: str) -> list[Block]:
    """The picture; nothing where there is nothing to see, a sentence where it cannot be drawn."""
    try:
        with matplotlib.rc_context(RC):
            figure = make()
    except AnalysisError as error:
        return [Paragraph(f"The figure {name} is not drawn: {error}.", "warning")]
    return [] if figure is None else [picture(figure, name, caption, alt)]


def comparison(study: Study) -> Section:
    """The large table, and differences as a figure."""
    blocks: list[Block] = []
    if study.baseline is not None:
        pairs = f"Pairs: {per_setting(study, headline.pairs_counted)}."
        blocks += _drawn(
            "differences",
            lambda: draw_differences(study),
            f"Mean difference of QoE to {study.baseline} in pairs of sessions, with 95 % intervals over"
            " traces."
            " To the right of the line is better; a hollow mark is a tie, as its interval holds 0."
            f" {pairs}",
            f"Differences of QoE to {study.baseline} by policy and setting; the table of verdicts has the"
            " numbers.",
        )
        blocks += _drawn(
            "delays",
            lambda: draw_delays(study),
            f"Mean difference of QoE to {study.baseline} against how much later each decision came, with 95 %"
            f" intervals over traces; a hollow mark is a tie. {pairs}",
            "Difference of QoE against the delay of decisions; the table of verdicts has the numbers.",
        )
    blocks.append(headline.headline_table(study))
    if study.together is not None:
        blocks.append(headline.together_table(study))
    return Section("comparison", "Comparison in full", tuple(blocks))


def generalization(study: Study) -> Section:
    """Does it hold where the policies have not been?"""
    blocks: list[Block] = [*map(Paragraph, headline.generalization_sentences(study))]
    n = per_setting(study, lambda one: max(map(len, common_values(one).values()), default=0))
    blocks += _drawn(
        "generalization",
        lambda: draw_generalization(study),
        "QoE of sessions by policy and setting, over the traces that all policies of a setting have"
        f" ({n}). Boxes are quartiles, whiskers the 5th and 95th percentile, diamonds means"
        + (f"; the dashed line is {study.baseline}'s mean" if study.baseline else "")
        + (". The oracle, which is told the future, is the bound" if _has_bound(study) else "")
        + ". Scales differ from panel to panel.",
        "Box plots of session QoE by policy in every setting; the headline table has the means.",
    )
    return Section("generalization", "Does it hold on networks it has not seen?", tuple(blocks))


def under_stress(study: Study) -> Section | None:
    """What policies did where the sweep meant to break them; None where it did not."""
    table = stress.stress_table(study)
    if table is None:
        return None
    sentences = stress.budget_sentences(study)
    return Section("stress", "Under stress", (*map(Paragraph, sentences), table))


def _has_bound(study: Study) -> bool:
    return any(is_bound(policy) for policy in study.policies)


def distributions(study: Study) -> Section:
    """The sessions' QoE as CDFs, and what bitrate was bought with what stalls."""
    outcomes, left = drawable(study)
    blocks: list[Block] = [Paragraph(text, "warning") for text in left]
    n = per_setting(study, lambda one: one.means[0].settings if one.means else 0)
    if outcomes is not None:
        blocks += _drawn(
            "cdf",
            lambda: draw_cdf(outcomes, study.grouping, study.rule).figure,
            "Share of sessions at or below each QoE, over the traces that all policies have"
            f" (n: {n}). A curve further to the right is better; where two cross, neither is better"
            " everywhere.",
            "Cumulative distributions of session QoE by policy and setting.",
        )
        blocks += _drawn(
            "bitrate-stall",
            lambda: draw_scatter(outcomes, study.grouping, study.rule).figure,
            "Mean bitrate against mean stall ratio with 95 % intervals over traces"
            f" (n: {n}). Up and to the right is better: more bitrate, fewer stalls.",
            "Mean bitrate against stall ratio by policy and setting; the headline table has the numbers.",
        )
    return Section("distributions", "Distributions, and bitrate against stalls", tuple(blocks))


def drawable(study: Study) -> tuple[Outcomes | None, list[str]]:
    """The sessions of settings in which all policies have a trace in common, and what was left out."""
    kept = [one for one in study.conditions if one.means]
    left = [
        f"{one.name}: no trace is common to all of {', '.join(one.policies)} yet; it is not in these figures."
        for one in study.conditions
        if not one.means
    ]
    if not kept:
        return None, left
    sessions = tuple(one for condition in kept for one in condition.outcomes.counted)
    return Outcomes(study.qoe, sessions, study.outcomes.left_out), left


def timelines(pictures: Sequence[Picture]) -> Section:
    """Single sessions."""
    text = (
        "Single sessions prove nothing; they show how a policy behaves. Best and worst are by QoE over"
        " all settings."
        " Grey is what the link could carry, a pale band a stall; a bar of throughput reaches from a"
        " chunk's request to"
        " its last byte."
    )
    return Section(
        "sessions", "Sessions over time: each policy's best and worst", (Paragraph(text), *pictures)
    )


def decisions(study: Study) -> Section:
    """Who decided, and how fast."""
    count = sum(len(times) for row in study.rows for times in row.decisions_ms.values())
    blocks = _drawn(
        "decisions",
        lambda: deciding.draw_deciding(study),
        "Time of decisions, where a clock ran, and who decided, where more than one did; chunks of all"
        " sessions that"
        f" count ({count:,} chunks).",
        "Distribution of decision times by policy, and shares of chunks by who decided; the table has"
        " the numbers.",
    )
    blocks.append(deciding.deciders_table(study))
    fallback = deciding.fallback_table(study)
    blocks.append(fallback if fallback is not None else Paragraph("The fallback decided nothing."))
    return Section("decisions", "Decisions: how long, and by whom", tuple(blocks))


def sharing_section(study: Study) -> Section | None:
    """Fairness, where players shared a link."""
    shared = sharing.shared_links(study)
    table = sharing.sharing_table(study, shared)
    if table is None:
        if not shared.broken:
            return None
        text = f"{shared.broken} links were shared, but of none does every player's session count."
        return Section("sharing", "Players that shared a bottleneck", (Paragraph(text, "warning"),))
    blocks = _drawn(
        "fairness",
        lambda: sharing.draw_sharing(study, shared),
        f"Jain's fairness index of the bitrates of players that shared a bottleneck ({len(shared.links)}"
        " links). A thin"
        " stroke is a link, a dot the mean, a bar its 95 % interval over traces; 1 is an even share.",
        "Jain's fairness index by policy and setting; the table has the numbers.",
    )
    return Section("sharing", "Players that shared a bottleneck", (*blocks, table))


def fidelity(study: Study) -> Section:
    """Were the links true?"""
    table = links.fidelity_table(study)
    if table is None:
        text = "No session here ran over an emulated link, so there was no link to check."
        return Section("links", "Were the links true?", (Paragraph(text),))
    valid = sum(link.valid for _, link in links.checked(study))
    total = len(links.checked(study))
    blocks: list[Block] = [
        Paragraph(
            f"Of {counted(total, 'session')} over emulated links {total - valid} had an invalid link and"
            f" {valid} a valid one. Each session's link is held against its trace by the kernel's counters."
        ),
        table,
    ]
    reasons = links.reasons_table(study)
    if reasons is not None:
        blocks.append(reasons)
    blocks += _drawn(
        "fidelity",
        lambda: links.draw_fidelity(study),
        f"How far the links of {total} sessions were off: byte error of steps in which frames were always"
        " waiting (left),"
        " and the latest change of a rate (right). Invalid sessions are drawn apart.",
        "Distributions of the links' byte errors and of the latest rate changes; the table has the numbers.",
    )
    return Section("links", "Were the links true?", tuple(blocks))


def lacking(study: Study) -> Section:
    """What is not here."""
    blocks: list[Block] = [Paragraph(missing.state_sentence(study))]
    said = missing.left_out_sentences(study)
    if said:
        blocks.append(Bullets(tuple(("", text) for text in said)))
    for table in (missing.not_good_table(study), missing.planned_table(study)):
        if table is not None:
            blocks.append(table)
    return Section("missing", "What is missing or left out", tuple(blocks))


def repeating(study: Study, command: Sequence[str], checksums: str) -> Section:
    """How to have the same again."""
    made = repeat.commands(study)
    lines = "\n".join(line + (f"    # {count} sessions" if count else "") for line, count in made)
    blocks: list[Block] = [Code("Commands that made the sessions", lines or "# the records name none")]
    sweep = study.sweep
    if sweep is not None:
        blocks.append(Code(f"{sweep.file_path}, SHA-256 {sweep.file_sha256}", sweep.file_text.rstrip()))
        words = [
            f"plan SHA-256 {sweep.plan_sha256}",
            f"order seed {sweep.order_seed}",
            f"retries {sweep.retries}",
        ]
        words += [f"begun {sweep.begun_at}", f"last updated {sweep.updated_at}"]
        words += [sweep.spent] if sweep.spent else []
        blocks.append(Paragraph(f"Sweep: {'; '.join(words)}."))
        if sweep.host:
            blocks.append(
                Paragraph(f"Machine: {', '.join(f'{name} {value}' for name, value in sweep.host)}.")
            )
    blocks.append(Code("Command that made this report", repeat.quoted(command)))
    if study.baseline is not None:
        compared = ["python", "-m", "analysis", "compare", *_compare_words(study, command)]
        blocks.append(Code("The same numbers as text", repeat.quoted(compared)))
    blocks += [
        repeat.policies_table(study),
        repeat.traces_table(study),
        repeat.videos_table(study),
        repeat.links_table(study),
        repeat.machines_table(study),
        Paragraph(
            f"The records themselves: {len(study.rows)} files, whose SHA-256 hashes are in {checksums}"
            " beside this page"
            f" (sha256sum --check {checksums})."
        ),
    ]
    return Section("repeat", "How to repeat it", tuple(blocks))


def _compare_words(study: Study, command: Sequence[str]) -> list[str]:
    """Options of `analysis compare` that give the large table's numbers."""
    words = [command[4], "--by", "setting", "--baseline", study.baseline or ""]
    words += ["--qoe", study.qoe.kind, "--mu", f"{study.qoe.mu:g}", "--smooth", f"{study.qoe.smooth:g}"]
    return words + (["--cluster", study.rule.pattern] if study.rule.pattern else [])
