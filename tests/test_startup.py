"""Help and mistakes of a command line come before what takes long to import."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = (
    *("aiohttp", "gymnasium", "jinja2", "matplotlib", "mininet", "numba", "numpy", "pyarrow", "ray"),
    *("scapy", "scipy", "torch", "transformers"),
)
OF_WORK = ("asyncio", "player.record", "player.registry", "player.simulated.session", "traces.formats")
"""What a script's work is made of, and its help is not: each takes some hundredths of a second."""
SCRIPTS = (
    *("run.py", "simulate.py", "sweep.py", "fidelity.py", "tamper.py", "origin.py", "link_models.py"),
    *("doctor.py", "clients.py"),
)
MODULES = {
    "player": "",
    "player.video": "",
    "traces": "list show lint convert generate fit fit-fast",
    "analysis": "compare table power together unpaired collect report plot watch",
    "policies": "",
    "policies.reference": "",
    "policies.bench": "",
    "policies.bench_batch": "",
    "policies.llm": "prepare collect adapt test controls prompt cost serve bench load scale arithmetic"
    " explain efficiency layers beside settings gpu generalist",
    "policies.apc": "train sweep test bench refit",
    "policies.genet": "train score",
    "policies.hindsight": "train join score",
}
"""Commands, with the names of what each can do."""
HELPS = [" ".join((name, *word)) for name, words in MODULES.items() for word in [(), *zip(words.split())]]
NEEDED = {"policies.llm": {"numpy"}}
"""What a parser itself is made of, for now: all others need none of `HEAVY`."""

ASK = """
import json, runpy, sys
name, *words = sys.argv[1:]
sys.argv = [name, *words, "--help"]
try:
    run = runpy.run_path if name.endswith(".py") else runpy.run_module
    run(name, run_name="__main__", **({} if name.endswith(".py") else {"alter_sys": True}))
except SystemExit as left:
    print(json.dumps({"status": left.code, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


def loaded(name: str, *words: str) -> set[str]:
    """What a command has imported once it has shown its help."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, name, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["status"] in (0, None) and "usage:" in done.stdout
    return set(told["modules"])


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_s_help_imports_nothing_heavy(script: str) -> None:
    assert loaded(f"testbed/{script}").isdisjoint((*HEAVY, *OF_WORK))


@pytest.mark.parametrize("words", HELPS)
def test_a_module_s_help_imports_nothing_heavy(words: str) -> None:
    name, *rest = words.split()
    assert loaded(name, *rest) & set(HEAVY) <= NEEDED.get(name, set())


@pytest.mark.parametrize("name", [name for name, words in MODULES.items() if words])
def test_no_subcommand_is_left_out(name: str) -> None:
    done = subprocess.run([sys.executable, "-m", name, "no such"], cwd=ROOT, capture_output=True, text=True)
    told = re.search(r"choose from (.+?)[);]", done.stderr)
    assert told is not None, done.stderr
    assert sorted(re.findall(r"[\w-]+", told[1])) == sorted(MODULES[name].split())


COMMAND_FILES = [
    place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
    for place in (ROOT.joinpath(*name.split(".")) for name in MODULES)
]


@pytest.mark.parametrize("file", COMMAND_FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_command_begins_and_ends_in_one_way(file: Path) -> None:
    source = file.read_text()
    first = source.index(
        'if __name__ == "__main__":\n    from traces.handover import hand_over\n\n    hand_over()\n'
    )
    assert source.count('if __name__ == "__main__":') == 2 and first < source.index("\nimport ")
    assert source.endswith("    exit_with(main)\n")
