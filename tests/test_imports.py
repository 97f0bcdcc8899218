"""Imports go one way, heavy packages stay out, and no file names a place of somebody's own."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from traces import handover

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("traces", "player", "policies", "testbed", "analysis")
MAY_IMPORT = {
    "traces": {"traces"},
    "player": {"traces", "player"},
    "policies": {"traces", "player", "policies"},
    "testbed": {"traces", "player", "policies", "testbed", "analysis"},
    "analysis": {
        "analysis",
        "player.defaults",
        "player.explained.file",
        "player.manifest",
        "player.section",
        "player.record",
        "player.qoe",
        "player.perceived",
        "player.video.quality",
        "player.call.checks",
        "player.call.media.freezes",
        "player.call.packets",
        "player.call.record",
        "player.call.scored",
        "player.jobs.record",
        "player.tasks.record",
        "player.viewport.record",
        "traces.bound_processes",
        "traces.commands",
        "traces.console",
        "traces.escaping",
        "traces.files",
        "traces.handover",
        "traces.listening.addresses",
        "traces.ownership",
        "traces.progress",
        "traces.safe_reading",
        "traces.words",
        "traces.versions",
    },
}
EMULATION = {"mininet", "pyroute2", "scapy"}
MUST_NOT_KNOW = {
    "traces": EMULATION | {"torch"},
    "player": EMULATION | {"torch"},
    "policies": EMULATION,
    "testbed": {"torch"},
    "analysis": EMULATION | {"torch"},
}
READS_OUTSIDE_FILES = "traces/safe_reading.py"
OUR_OWN = {
    "analysis/cases/case.py": "values of records that were read, as text",
    "analysis/cases/naming.py": "the same",
    "analysis/knowable/over_cases.py": "the same",
    "analysis/report/parts/made_tables.py": "values of records that were read, as text",
    "analysis/report/sections/stress.py": "the same",
    "player/real/stream.py": "a line of the parent process",
    "player/video/built_in/__init__.py": "shipped with it",
    "policies/apc/load/command.py": "a line of its own child",
    "policies/apc/study/sweep.py": "what it has just written",
    "policies/genet/train.py": "its own checkpoint, which torch has read",
    "policies/gpu/command.py": "a line of its own child",
    "policies/hindsight/run.py": "its own checkpoint, which torch has read",
    "policies/llm/learning/checkpoint.py": "its own checkpoint, which torch has read",
    "policies/llm/studies/through_server.py": "a line of its own child",
    "policies/llm/studies/cost.py": "a line of its own child",
    "testbed/browser/devtools.py": "what its own child, the browser, says",
    "testbed/checks/call_path/flow.py": "lines of the parent process",
    "testbed/checks/call_path/measure.py": "lines of its own child",
    "testbed/calling/ends/end_process.py": "settings and a line of the parent process",
    "testbed/checks/fidelity/measure.py": "a line of its own child",
    "testbed/checks/fidelity/saturate.py": "a line of the parent process",
    "testbed/cross/flows.py": "settings and a line of the parent process",
    "testbed/link/delay_stage.py": "the output of tc",
    "testbed/link/netem_replay.py": "lines of the parent process",
    "testbed/link/relay.py": "lines of the parent process",
    "testbed/link/shaper.py": "lines of the parent process",
    "testbed/link/shaper_client.py": "lines of its own child",
    "testbed/process/child.py": "lines of its own child",
    "testbed/process/launcher.py": "orders of the parent process",
    "testbed/process/launching.py": "lines of its own child",
    "testbed/process/line_process.py": "lines of its own child",
    "testbed/simulated/kept_records.py": "what it has just written",
    "testbed/sweeps/state.py": "what it has just written",
}
"""Who else parses JSON: what our own processes say to each other."""
TEXT_SUFFIXES = {".py", ".toml", ".txt", ".sh", ".md", ".cff", ".yml", ".yaml", ".json", ""}
PLACES = re.compile(
    r"pypi\.(org|python)|pythonhosted|deb\.debian\.org|archive\.ubuntu\.com|download\.pytorch|registry\.npmjs"
    r"|--(extra-)?index-url|--find-links"
    r"|/home/\w|/Users/\w|/root/"
)
"""Hosts of registries (each machine has its own settings for them), and absolute paths of a person."""


def imported_modules(source: str) -> Iterator[str]:
    """Dotted names of all that a file imports, wherever in it; `from a import b` gives `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: say the whole name, not a relative one"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, allowed: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


def wrong_imports(folder: str, source: str) -> list[str]:
    """What a file of that folder imports and may not."""
    wrong = []
    for module in imported_modules(source):
        package = module.split(".")[0]
        ours_and_not_allowed = package in FOLDERS and not within(module, MAY_IMPORT[folder])
        if ours_and_not_allowed or package in MUST_NOT_KNOW[folder]:
            wrong.append(module)
    return wrong


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_go_one_way(folder: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): found
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (found := wrong_imports(folder, path.read_text()))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("folder", "source", "wrong"),
    [
        ("traces", "from player.qoe import QoE", ["player.qoe.QoE"]),
        ("player", "def f():\n    import policies.rules.bba", ["policies.rules.bba"]),
        ("player", "from mininet.net import Mininet", ["mininet.net.Mininet"]),
        ("analysis", "from player.record import read\nfrom player import buffer", ["player.buffer"]),
        ("analysis", "from player import qoe", []),
        ("testbed", "import torch.nn, traces.trace", ["torch.nn"]),
    ],
)
def test_the_rule_sees_what_it_should(folder: str, source: str, wrong: list[str]) -> None:
    assert wrong_imports(folder, source) == wrong


def parsers_used(source: str) -> list[str]:
    """What of a file parses JSON or TOML by hand."""
    return [
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr)
        in {(module, name) for module in ("json", "tomllib") for name in ("load", "loads")}
    ]


def test_what_comes_from_outside_is_read_in_one_place() -> None:
    """Sizes, depths and numbers are bounded there, and nothing waits for a pipe."""
    found = {
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if parsers_used(path.read_text())
    }
    assert found - {READS_OUTSIDE_FILES} == set(OUR_OWN)
    assert parsers_used("import json\njson.loads(x)\ntomllib.load(y)\njson.dumps(z)") == [
        "json.loads",
        "tomllib.load",
    ]


def test_consoles_show_names_visibly() -> None:
    """`rich` sends ESC itself, so it writes past the frame that makes all other output visible."""
    found = {
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if re.search(r"(?<![A-Za-z])Console\(", path.read_text())
    }
    assert found == set()


def test_importing_player_and_testbed_imports_no_torch(tmp_path: Path) -> None:
    """A stand-in for torch is there to be imported, so that also a guarded import shows."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for folder in ("traces", "player", "testbed")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name != "__main__.py"
    ]
    assert "testbed.doctor" in modules
    script = (
        f"import sys, json, importlib; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "seen = 'torch' in sys.modules\n"
        "import torch\n"
        "print(json.dumps([seen, torch.__file__]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    seen, stand_in = json.loads(done.stdout.splitlines()[-1])
    assert Path(stand_in).is_relative_to(tmp_path)
    assert not seen


def project_files() -> list[Path]:
    """All text files of the project, without what is made or installed."""
    made = {"results", "build", "__pycache__"}
    return [
        path
        for path in sorted(ROOT.rglob("*"))
        if path.suffix in TEXT_SUFFIXES
        and path != Path(__file__)
        and not any(
            part in made or part.endswith(".egg-info") or (part.startswith(".") and part != ".ci")
            for part in path.relative_to(ROOT).parts
        )
        and path.is_file()
    ]


def test_no_file_names_a_registry_or_a_persons_folder() -> None:
    files = project_files()
    assert {ROOT / "Makefile", ROOT / "constraints.txt", ROOT / ".ci" / "run"} <= set(files)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in files
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if PLACES.search(line)
    ]
    assert found == []


def test_handover_asks_for_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=!~; \[]", line)[0].replace("-", "_") for line in project["dependencies"]}
    assert names - {"setuptools"} == set(handover.PACKAGES)


def test_constraints_pin_exact_versions_of_all_that_pyproject_names() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1] != "#"
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.split(r"[<>=!~; \[]", line)[0].lower().replace("_", "-") for line in wanted}
    assert names <= {name.lower().replace("_", "-") for name in pins}


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("difflib", "traces/words.py"),
        ('"--json", action', "traces/commands.py"),
    ],
    ids=["what was meant", "--json"],
)
def test_what_is_shared_is_made_once(words: str, place: str) -> None:
    rooms = ("analysis", "player", "policies", "testbed", "traces")
    having = [
        str(path.relative_to(ROOT))
        for room in rooms
        for path in sorted((ROOT / room).rglob("*.py"))
        if words in path.read_text(encoding="utf-8")
    ]
    assert having == [place]
