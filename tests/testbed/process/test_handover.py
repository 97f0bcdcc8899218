"""An entry script reaches the project's environment from any interpreter, or says what to do."""

from __future__ import annotations

import ast
import json
import shutil
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENTRY = '''"""An entry script that shows where it runs."""

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from traces.handover import hand_over

    hand_over()

import json
import os
import sys

import testbed

print(json.dumps([sys.prefix, sys.argv[1:], os.getcwd(), testbed.__file__, sys.version_info[:2],
                  "STREAMBED_HANDED_OVER" in os.environ, os.environ.get("PATH")]))
'''
MODULE = ENTRY.replace("    import sys\n    from pathlib import Path\n\n", "").replace(
    "    sys.path[0] = str(Path(__file__).resolve().parent.parent)\n", ""
)


@dataclass(frozen=True)
class Tree:
    """A copy of what the hand-over needs, in a folder with a space in its name."""

    root: Path
    foreign: Path
    """An interpreter that has none of our packages."""

    @property
    def script(self) -> Path:
        return self.root / "testbed" / "entry.py"

    @property
    def environment(self) -> Path:
        return self.root / ".venv"

    def run(
        self, *command: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=cwd or self.root, env=environment, capture_output=True, text=True)


def make_environment(place: Path, with_packages: bool) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    if with_packages:
        packages = next(place.glob("lib/python*/site-packages"))
        # With the .pth files in them: distutils comes by one of setuptools'.
        lines = (f"import site; site.addsitedir({place!r})\n" for place in site.getsitepackages())
        (packages / "ours.pth").write_text("".join(lines))
    return place / "bin" / "python"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    root = tmp_path / "my tree"
    (root / "testbed" / "process").mkdir(parents=True)
    (root / "traces").mkdir()
    for name in (
        "testbed/__init__.py",
        "testbed/process/__init__.py",
        "traces/__init__.py",
        "traces/handover.py",
    ):
        shutil.copy(ROOT / name, root / name)
    (root / "testbed" / "entry.py").write_text(ENTRY)
    (root / "traces" / "__main__.py").write_text(MODULE)
    return Tree(root, make_environment(tmp_path / "foreign", with_packages=False))


@pytest.fixture
def ready(tree: Tree) -> Tree:
    make_environment(tree.environment, with_packages=True)
    return tree


def refused(tree: Tree, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"streambed: not set up yet; run `make setup` in {tree.root}\n"


def arrived(tree: Tree, done: subprocess.CompletedProcess[str]) -> tuple[list[str], str]:
    assert done.returncode == 0, done.stderr
    prefix, arguments, cwd, package, _, marked, _ = json.loads(done.stdout)
    assert Path(prefix) == tree.environment
    assert Path(package).parent == tree.root / "testbed"
    assert not marked
    return arguments, cwd


def test_foreign_interpreter_hands_over_with_its_arguments(ready: Tree, tmp_path: Path) -> None:
    done = ready.run(ready.foreign, "testbed/entry.py", "--out", "a b", "", "--json")
    assert arrived(ready, done) == (["--out", "a b", "", "--json"], str(ready.root))
    done = ready.run(ready.foreign, ready.script, "x", cwd=tmp_path)
    assert arrived(ready, done) == (["x"], str(tmp_path))


def test_an_environment_that_is_another_users_is_named_as_such(ready: Tree) -> None:
    """As root everything may be read, so the link leads to what nobody may run."""
    python = ready.environment / "bin" / "python"
    hidden = ready.root / "hidden"
    hidden.write_text("#!/bin/sh\n")
    hidden.chmod(0o600)
    python.unlink()
    python.symlink_to(hidden)
    done = ready.run(ready.foreign, "testbed/entry.py")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        f"streambed: {python} leads to {hidden}, which this user may not run; "
        "clone Streambed as this user, and run `make setup` there\n"
    )


def test_through_a_symbolic_link(ready: Tree, tmp_path: Path) -> None:
    link = tmp_path / "streambed-entry"
    link.symlink_to(ready.script)
    arrived(ready, ready.run(ready.foreign, link, cwd=tmp_path))
    (tmp_path / "way").symlink_to(ready.root)
    arrived(ready, ready.run(ready.foreign, "testbed/entry.py", cwd=tmp_path / "way"))


def test_as_a_module(ready: Tree) -> None:
    done = ready.run(ready.foreign, "-m", "testbed.entry", "--json")
    assert arrived(ready, done) == (["--json"], str(ready.root))


def test_a_package_that_is_typed_as_one(ready: Tree, tmp_path: Path) -> None:
    done = ready.run(ready.foreign, "-m", "traces", "--out", "a b")
    assert arrived(ready, done) == (["--out", "a b"], str(ready.root))
    shutil.rmtree(ready.environment)
    refused(ready, ready.run(ready.foreign, "-m", "traces"))


@pytest.mark.parametrize(
    "module",
    [
        "analysis",
        "player",
        "player.video",
        "policies",
        "policies.apc",
        "policies.bench",
        "policies.bench_batch",
        "policies.genet",
        "policies.hindsight",
        "policies.llm",
        "policies.reference",
        "traces",
    ],
)
def test_each_module_that_is_typed_begins_so(module: str) -> None:
    """Before any import that another interpreter could fail on."""
    path = ROOT / module.replace(".", "/")
    text = (path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    begin = 'if __name__ == "__main__":\n    from traces.handover import hand_over\n\n    hand_over()\n'
    before, found, _ = text.partition(begin)
    assert found and len(ast.parse(before).body) == 2, "a docstring and what the future brings"


def test_the_environments_own_interpreter_stays(ready: Tree) -> None:
    for command in (["testbed/entry.py"], ["-m", "testbed.entry"]):
        arrived(ready, ready.run(ready.environment / "bin" / "python", *command))


def test_somebodys_own_environment_with_the_packages_stays(tree: Tree, tmp_path: Path) -> None:
    own = make_environment(tmp_path / "own", with_packages=True)
    done = tree.run(own, "testbed/entry.py")
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)[0]) == tmp_path / "own"


def test_packages_without_distutils_are_not_enough(ready: Tree, tmp_path: Path) -> None:
    """As in somebody's Python 3.12 without setuptools."""
    own = make_environment(tmp_path / "own", with_packages=True)
    packages = next((tmp_path / "own").glob("lib/python*/site-packages"))
    (packages / "zz_hide.pth").write_text("import sys; sys.modules['distutils'] = None\n")
    arrived(ready, ready.run(own, "testbed/entry.py"))
    shutil.rmtree(ready.environment)
    refused(ready, ready.run(own, "testbed/entry.py"))


@pytest.mark.parametrize("path", ["/usr/bin:/bin", "/usr/sbin:/usr/bin:/bin", None, ""])
def test_system_programs_are_found_whichever_path_root_came_with(ready: Tree, path: str | None) -> None:
    environment = {} if path is None else {"PATH": path}
    for python in (ready.environment / "bin" / "python", ready.foreign):
        done = ready.run(python, "testbed/entry.py", environment=environment)
        arrived(ready, done)
        folders = json.loads(done.stdout)[-1].split(":")
        assert {"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"} <= set(folders)
        assert len(folders) == len(set(folders)), "nothing twice"
        assert folders[: len((path or "").split(":"))] == (path or folders[0]).split(":"), "ours come last"


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="no /usr/bin/python3 here")
def test_system_interpreter_hands_over(ready: Tree) -> None:
    arrived(ready, ready.run("/usr/bin/python3", "testbed/entry.py"))


def test_no_environment(tree: Tree, tmp_path: Path) -> None:
    refused(tree, tree.run(tree.foreign, "testbed/entry.py"))
    refused(tree, tree.run(tree.foreign, tree.script, cwd=tmp_path))


def test_environment_whose_interpreter_is_gone(ready: Tree) -> None:
    python = ready.environment / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    refused(ready, ready.run(ready.foreign, "testbed/entry.py"))
    python.unlink()
    python.write_bytes(b"\x7fELF, but cut off")
    python.chmod(0o755)
    refused(ready, ready.run(ready.foreign, "testbed/entry.py"))


def test_environment_without_packages_is_reported_once(tree: Tree) -> None:
    python = make_environment(tree.environment, with_packages=False)
    refused(tree, tree.run(tree.foreign, "testbed/entry.py"))
    refused(tree, tree.run(python, "testbed/entry.py"))


@pytest.mark.parametrize("name", ["run.py", "fidelity.py", "doctor.py", "origin.py"])
def test_each_entry_script_begins_so(name: str) -> None:
    """Before any import that another interpreter could fail on."""
    text = (ROOT / "testbed" / name).read_text()
    statements = [
        node
        for node in ast.parse(text).body[1:]
        if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
    ]
    found = ast.unparse(statements[0]).replace("hand_over(required=False)", "hand_over()")
    assert found.startswith(ast.unparse(ast.parse(ENTRY).body[1]))
