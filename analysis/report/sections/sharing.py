"""Players that shared a bottleneck: how evenly they shared it, and how much of it they used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from analysis import curves
from analysis.bootstrap import Interval, mean_interval
from analysis.cases.case import Case
from analysis.figures import colour
from analysis.outcomes import Outcome
from analysis.report.parts.blocks import Paragraph, Section, drawn
from analysis.report.parts.grids import absent, policy_rows
from analysis.report.parts.session_rows import SessionRow
from analysis.report.parts.study import Study
from analysis.report.parts.table_rendering import (
    LEFT,
    Cell,
    Column,
    RowGroup,
    Table,
    number,
    with_interval,
    word,
)
from analysis.sessions import SessionRecord
from analysis.style import paler, share_scale
from analysis.together.jain import jain
from player.record import EndRow, Record
from traces.safe_reading import read_first_object


@dataclass(frozen=True)
class SharedLink:
    """One bottleneck and those who shared it."""

    policy: str
    case: Case
    """Of its first player."""
    players: int
    jain: float
    """Of the players' mean bitrates, each over all its chunks but the first."""
    utilisation: float | None
    """Body bytes of all players over what the link carried from the first one's begin until the last chunk
    of any was in. None where the link carried nothing."""
    qoe_spread: float
    """Best minus worst player."""


@dataclass(frozen=True)
class SharedLinks:
    """All of them, and how many are not whole: a player lacks, or does not count."""

    links: tuple[SharedLink, ...]
    broken: int


def shared_links(study: Study) -> SharedLinks:
    """The groups of players of which every one has a session that counts.

    Raises:
        OSError: a record that was there is gone.
    """
    groups: dict[str, list[SessionRow]] = {}
    for row in study.rows:
        if row.shared is not None and not row.shared.beside:  # of others `together` tells
            groups.setdefault(f"{Path(row.path).parent}/{row.shared.group}", []).append(row)
    links, broken = [], 0
    for rows in groups.values():
        rows.sort(key=lambda row: row.shared.index if row.shared else 0)
        whole = [row.outcome for row in rows if isinstance(row.outcome, Outcome)]
        first = rows[0].shared
        assert first is not None
        if len(whole) < first.players:
            broken += 1
            continue
        qoes = [one.figures.qoe for one in whole]
        links.append(
            SharedLink(
                policy=whole[0].policy,
                case=whole[0].case,
                players=first.players,
                jain=jain([one.figures.bitrate_mbps for one in whole]),
                utilisation=_utilisation(rows),
                qoe_spread=max(qoes) - min(qoes),
            )
        )
    return SharedLinks(tuple(links), broken)


def _utilisation(rows: Sequence[SessionRow]) -> float | None:
    offsets_s = [row.shared.offset_s if row.shared else 0.0 for row in rows]
    until_s = (
        max(offset_s + row.last_arrival_s for offset_s, row in zip(offsets_s, rows, strict=True))
        - offsets_s[0]
    )
    carried = _carried_megabits(Path(rows[0].path), until_s)
    used = sum(8 * row.played_bytes for row in rows) / 1e6
    return used / carried if carried > 0 else None


def _carried_megabits(path: Path, until_s: float) -> float:
    """What the link of a record carried from its begin on; only the manifest is read again."""
    manifest = read_first_object(path)
    nothing = EndRow("", "", 0, 0.0, 0.0, 0.0, 0.0)
    trace = SessionRecord(Record(str(path), manifest, (), nothing)).trace
    return 0.0 if trace is None else curves.carried_megabits(trace, until_s)


def _grouped(study: Study, links: Sequence[SharedLink]) -> dict[tuple[str, str], list[SharedLink]]:
    found: dict[tuple[str, str], list[SharedLink]] = {}
    for one in links:
        found.setdefault((study.grouping.of(one.case), one.policy), []).append(one)
    return found


def _interval(study: Study, ones: Sequence[SharedLink], values: Sequence[float]) -> Interval:
    return mean_interval(values, [study.rule.key(one.case.trace) for one in ones])


def sharing_table(study: Study, shared: SharedLinks) -> Table | None:
    """Fairness and utilisation, by setting and policy; None where no link was shared."""
    if not shared.links:
        return None
    found = _grouped(study, shared.links)
    groups = []
    for condition in study.conditions:
        rows = []
        for policy in condition.policies:
            ones = found.get((condition.name, policy))
            if not ones:
                continue
            rows.append(_sharing_row(study, policy, ones))
        if rows:
            groups.append(RowGroup(condition.title, tuple(rows)))
    caption = (
        "Players that shared one bottleneck, all with the same policy. Jain's index of the players' mean"
        " bitrates: 1"
        " where all had the same, 1/players where one had all. Used: bodies of all players over what the"
        " link carried;"
        " headers are not counted, so a link that is always busy gives about 95 %."
        " Means over links, with 95 % intervals over traces."
    )
    if shared.broken:
        caption += f" {shared.broken} links are left out: not every player's session counts."
    return Table("sharing", caption, SHARING_COLUMNS, tuple(groups), group_csv="setting")


SHARING_COLUMNS = (
    Column("policy", ("policy",), LEFT),
    Column("players", ("players",)),
    Column("links", ("links",)),
    Column("Jain's index", ("jain", "jain_low", "jain_high")),
    Column("lowest", ("jain_min",)),
    Column("used of link %", ("utilisation", "utilisation_low", "utilisation_high")),
    Column("QoE, best minus worst player", ("qoe_spread",)),
)


def _sharing_row(study: Study, policy: str, ones: Sequence[SharedLink]) -> tuple[Cell, ...]:
    """One policy's, over the links that its players shared."""
    used = [(one, one.utilisation) for one in ones if one.utilisation is not None]
    links, shares = [one for one, _ in used], [value for _, value in used]
    return (
        word(policy),
        number(ones[0].players, "d"),
        number(len(ones), "d"),
        with_interval(_interval(study, ones, [one.jain for one in ones])),
        number(min(one.jain for one in ones), ".3f"),
        with_interval(_interval(study, links, shares), ".1f", 100.0)
        if used
        else Cell("–", (None, None, None)),
        number(sum(one.qoe_spread for one in ones) / len(ones), ".3f"),
    )


def draw_sharing(study: Study, shared: SharedLinks) -> Figure:
    """Jain's index of every policy in every setting with shared links.

    To be called within `matplotlib.rc_context(style.RC)`.
    """
    found = _grouped(study, shared.links)
    conditions = [one for one in study.conditions if any(name == one.name for name, _ in found)]
    policies = [policy for policy in study.policies if any(who == policy for _, who in found)]
    figure, axes = policy_rows(
        [one.title for one in conditions], policies, "Jain's index of the players' bitrates"
    )
    for axis, condition in zip(axes, conditions, strict=True):
        for row, policy in enumerate(policies):
            ones = found.get((condition.name, policy))
            if not ones:
                absent(axis, row)
                continue
            interval = _interval(study, ones, [one.jain for one in ones])
            axis.plot(
                [one.jain for one in ones],
                [row] * len(ones),
                "|",
                color=paler(colour(policy), 0.35),
                markersize=6,
            )
            if interval.low is not None and interval.high is not None:
                axis.hlines(row, interval.low, interval.high, color=colour(policy), linewidth=1.6, zorder=2)
            axis.plot(interval.mean, row, "o", color=colour(policy), markersize=4.5, zorder=3)
        axis.set_xlim(right=1.005)
    share_scale(axes, "x")
    return figure


def sharing_section(study: Study) -> Section | None:
    """Fairness, where players shared a link."""
    shared = shared_links(study)
    table = sharing_table(study, shared)
    if table is None:
        if not shared.broken:
            return None
        text = f"{shared.broken} links were shared, but of none does every player's session count."
        return Section("sharing", "Players that shared a bottleneck", (Paragraph(text, "warning"),))
    blocks = drawn(
        "fairness",
        lambda: draw_sharing(study, shared),
        f"Jain's fairness index of the bitrates of players that shared a bottleneck ({len(shared.links)}"
        " links). A thin"
        " stroke is a link, a dot the mean, a bar its 95 % interval over traces; 1 is an even share.",
        "Jain's fairness index by policy and setting; the table has the numbers.",
    )
    return Section("sharing", "Players that shared a bottleneck", (*blocks, table))
