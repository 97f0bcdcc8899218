"""An explanation as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from player.explained.file import ChangedInput, Explanation, WhyLevel
from policies.explain.distilled import Distilled
from policies.explain.replayed import PlayedSession
from policies.explain.tree import Tree

COLUMNS = ("chunk", "level", "by", "ahead of", "margin", "most for it", "recent chunk", "nearest change")
BY_THE_MODEL = ("llm", "policy")
"""What a record says where the model decided."""
WIDTHS = (5, 5, 8, 8, 7, 19, 13, 0)


def show_session(found: Explanation) -> None:
    """A line a decision, then what each modality contributed over all of them."""
    decisions = found.decisions or ()
    print("contributions are logits of the chosen level's lead; + speaks for it, ! without it another level")
    print(_row(COLUMNS))
    for each in decisions:
        print(_row(_cells(each)))
    counted = [each for each in decisions if each.modalities]
    if counted:
        means = {
            name: sum(abs(each.modalities[name]) for each in counted) / len(counted)
            for name in counted[0].modalities
        }
        print(f"mean size of contributions: {_listed(means, sign='')}")
    other = [each for each in decisions if each.level != each.recorded]
    if other:
        print(f"{len(other)} of {len(decisions)} levels in the record are not the model's choice, marked *")
    if unlike := [each.chunk for each in other if each.by in BY_THE_MODEL]:
        print(
            f"{len(unlike)} of them it is said to have chosen (first chunk {unlike[0]}): it was another"
            " adapter, computed in something else, or on a machine whose libraries round otherwise"
        )


def _cells(why: WhyLevel) -> tuple[str, ...]:
    other = "" if why.level == why.recorded else "*"
    if why.margin is None:
        return (
            str(why.chunk),
            f"{why.level}{other}",
            str(why.by),
            "-",
            "-",
            "the only level allowed",
            "",
            "",
        )
    return (
        str(why.chunk),
        f"{why.level}{other}",
        str(why.by),
        str(why.runner_up),
        f"{why.margin:.2f}",
        _strongest(why.modalities, why.without),
        _strongest(why.chunks, why.without),
        _changed(why.otherwise[0]) if why.otherwise else "none that was tried",
    )


def _row(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def _strongest(values: Mapping[str, float], without: Mapping[str, int]) -> str:
    """The largest contribution to either side."""
    if not values:
        return "-"
    name = max(values, key=lambda each: abs(values[each]))
    return f"{name} {values[name]:+.2f}{'!' if name in without else ''}"


def _changed(change: ChangedInput) -> str:
    assert change.was is not None and change.becomes is not None
    if change.unit == "x":
        return f"{change.input} x {_told_apart(change.becomes, 1.0)}: level {change.level}"
    was, becomes = _told_apart(change.was, change.becomes), _told_apart(change.becomes, change.was)
    return f"{change.input} {was} -> {becomes} {change.unit}: level {change.level}"


def _told_apart(value: float, other: float) -> str:
    """With two decimals, or as many more as it takes to differ from the other."""
    places = next((each for each in range(2, 6) if f"{value:.{each}f}" != f"{other:.{each}f}"), 6)
    return f"{value:.{places}f}"


def show_chunk(why: WhyLevel, session: PlayedSession) -> None:
    """All that is known of one decision."""
    kbps = session.video.ladder_kbps[why.level or 0]
    print(f"chunk {why.chunk}: the model chooses level {why.level} ({kbps} kbit/s)")
    print(f"  in the record     level {why.recorded}, decided by {why.by}")
    if why.margin is None:
        print("  no other level might be taken: what was seen of the link speaks against them")
    else:
        print(f"  ahead of          level {why.runner_up} by {why.margin:.2f} logits")
        print(f"  contributed by    {_listed(why.modalities)}")
        print(f"  recent chunks     {_listed(why.chunks) or 'none that there was something in the place of'}")
    for name, level in why.without.items():
        what = f"chunk {name}" if name.isdigit() else name
        print(f"  without {what}: level {level}")
    for change in why.otherwise:
        print(f"  otherwise         {_changed(change)}")
    if not why.otherwise:
        print("  otherwise         no value of one input that was tried changes the level")
    if why.tree_path is not None:
        agrees = "agrees" if why.tree_level == why.level else f"says level {why.tree_level}"
        print(f"  the tree          {agrees}: {'; '.join(why.tree_path)}")


def _listed(values: Mapping[str, float], sign: str = "+") -> str:
    """The largest first."""
    ordered = sorted(values, key=lambda name: -abs(values[name]))
    return ", ".join(f"{name} {values[name]:{sign}.2f}" for name in ordered)


def show_tree(held: Mapping[str, Any], *, whole: bool) -> None:
    """The tree's fidelity, and all its questions where they are asked for."""
    found = Distilled.from_json(held)
    low, high = found.interval
    print(
        f"a tree of {found.tree.leaves} answers chooses as the model does in {100 * found.fidelity:.1f} %"
        f" [{100 * low:.1f}, {100 * high:.1f}] of decisions of {found.held_against} sessions that it was not"
        f" grown on ({', '.join(found.families)}); the last level again would in"
        f" {100 * found.persistence:.1f} %; of changes it says {100 * found.changes:.0f} % right"
    )
    if whole:
        _show_branch(found.tree, 0, "  ")


def _show_branch(tree: Tree, at: int, indent: str) -> None:
    branch = tree.branches[at]
    if branch.given < 0:
        print(f"{indent}{_step(branch.answer)} ({100 * branch.share:.0f} % of {branch.examples})")
        return
    print(f"{indent}{tree.names[branch.given]} <= {branch.threshold:.4g}:")
    _show_branch(tree, branch.below, indent + "  ")
    print(f"{indent}else:")
    _show_branch(tree, branch.above, indent + "  ")


def _step(answer: int) -> str:
    if not answer:
        return "the last level again"
    return f"{abs(answer)} {'up' if answer > 0 else 'down'}"


def show_agreement(found: Mapping[str, Any]) -> None:
    """How occlusion ranks beside the exact ablation."""
    low, high = found["same_order_ci95"]
    print(
        f"occlusion beside the exact ablation, {found['decisions']} decisions:"
        f" {100 * found['same_order']:.2f} % [{100 * low:.2f}, {100 * high:.2f}] of {found['pairs']} pairs in"
        f" the same order, mean rank correlation {found['rank_correlation']:.4f};"
        f" {found['exact_ms']:.0f} ms a decision against {found['occlusion_ms']:.0f} by occlusion"
    )
