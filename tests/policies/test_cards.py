"""What the cards of shipped weights say: the files' hashes, and scores that come out again."""

from __future__ import annotations

import hashlib
import re
import shlex
from pathlib import Path

import pytest

from player.registry import load_policy
from policies import reference

POLICIES = Path(reference.__file__).parent
CARDS = {
    "genet": (POLICIES / "genet/weights/card.md", POLICIES / "genet/weights/genet.safetensors"),
    "udr": (POLICIES / "genet/weights/card.md", POLICIES / "genet/weights/udr.safetensors"),
    "hindsight": (POLICIES / "hindsight/card.md", POLICIES / "hindsight/hindsight.safetensors"),
}
COMMAND = "    $ python -m policies.reference "
SHORTEST_HASH = 12


def shown_runs(card: Path) -> list[tuple[list[str], str]]:
    """The arguments of each `policies.reference` that a card shows, and what it shows that was printed."""
    lines, runs = card.read_text(encoding="utf-8").splitlines(), []
    for number, line in enumerate(lines):
        if line.startswith(COMMAND):
            after = lines[number + 1 :]
            count = next((n for n, each in enumerate(after) if not each.startswith("    ")), len(after))
            printed = "".join(f"{each.removeprefix('    ')}\n" for each in after[:count])
            runs.append((shlex.split(line.removeprefix(COMMAND)), printed))
    return runs


@pytest.mark.parametrize("name", CARDS)
def test_the_shipped_weights_are_the_cards(name: str) -> None:
    card, weights = CARDS[name]
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert load_policy(name).weights_sha256 == sha256
    row = next(line for line in card.read_text(encoding="utf-8").splitlines() if f"`{weights.name}`" in line)
    (said,) = re.findall(rf"[0-9a-f]{{{SHORTEST_HASH},64}}", row)
    assert sha256.startswith(said)


@pytest.mark.parametrize(
    "card", sorted({card for card, _ in CARDS.values()}), ids=lambda card: card.parent.name
)
def test_the_scores_of_a_card_come_out_again(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every digit that its `policies.reference` commands printed; every policy of the card is among them."""
    runs = shown_runs(card)
    for arguments, printed in runs:
        assert reference.main(arguments) == 0
        assert capsys.readouterr().out == printed, f"{card}: run its commands anew and show what they print"
    rows = "".join(printed for _, printed in runs)
    assert all(
        re.search(rf"^{name} +\d", rows, re.MULTILINE) for name, (its, _) in CARDS.items() if its == card
    )
