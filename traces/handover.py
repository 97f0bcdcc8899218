"""Hand a command over to the project's own environment.

`sudo python3 testbed/run.py` and `python3 -m analysis` find a system interpreter that has none of our
packages. Each entry script therefore begins with this, before it imports anything of ours or anybody else's:

    if __name__ == "__main__":
        import sys
        from pathlib import Path

        sys.path[0] = str(Path(__file__).resolve().parent.parent)
        from traces.handover import hand_over

        hand_over()

What is typed as `python -m …` begins so, too, without the line of `sys.path`. Only the standard library is
used, and only syntax that Python 3.6 reads, because the interpreter that runs this may be any.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
OLDEST_PYTHON = (3, 11)
PACKAGES = (
    "aiohttp",
    "gymnasium",
    "jinja2",
    "matplotlib",
    "mininet",
    "numba",
    "numpy",
    "prometheus_client",
    "pyarrow",
    "rich",
    "safetensors",
    "scapy",
    "scipy",
    "tomlkit",
)
"""What an interpreter must be able to import to run us; pyproject.toml asks for the same."""
NEEDED_MODULES = (*PACKAGES, "distutils")
"""Mininet imports distutils, which Python 3.12 has given up and setuptools brings."""
OF_LINKS = ("mininet", "scapy", "distutils")
"""What only the testbed imports: who looks at records on a machine of their own may lack it."""
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian keeps tc, ethtool and ifconfig; its plain `su` leaves root with a user's PATH."""
MARK = "STREAMBED_HANDED_OVER"
"""Set across the exec, so that a hand-over that does not arrive is reported and not repeated."""


def missing_packages(of_links: bool = True) -> "list[str]":
    """What of `NEEDED_MODULES` the running interpreter lacks; without `OF_LINKS`, what else it does."""
    return [name for name in NEEDED_MODULES if (of_links or name not in OF_LINKS) and not _is_there(name)]


def _is_there(name: str) -> bool:
    """Whether a module can be imported. setuptools makes its distutils while it is looked for, which takes
    longer than all the rest."""
    if (
        name == "distutils"
        and name not in sys.modules
        and importlib.util.find_spec("_distutils_hack") is not None
    ):
        return True
    return importlib.util.find_spec(name) is not None


def can_stay(of_links: bool = True) -> bool:
    """Whether the running interpreter, ours or somebody's own, has all that is needed; see `OF_LINKS`."""
    return sys.version_info >= OLDEST_PYTHON and not missing_packages(of_links)


def _module_typed() -> str:
    """What `python -m` was told to run; empty for a script, as those of the testbed are in either way."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    name = spec.name if spec is not None else ""
    if name.endswith(".__main__"):
        name = name[: -len(".__main__")]
    return "" if name.startswith("testbed.") else name


def search_path() -> str:
    """PATH with the folders of system programs, where it lacks them at its end."""
    folders = (os.environ.get("PATH") or os.defpath).split(os.pathsep)
    return os.pathsep.join([*folders, *(folder for folder in SYSTEM_FOLDERS if folder not in folders)])


def extend_path() -> None:
    """Let this process and all that it starts find system programs. Twice is as once."""
    os.environ["PATH"] = search_path()


def hand_over(required: bool = True) -> None:
    """Run this command, with its arguments, by the project's own interpreter, if this one won't do.

    Returns when the running interpreter can do the work. Otherwise the process is replaced, or ends:
    one line on stderr and status 2 when the project's environment is missing or broken. Whoever goes
    on finds system programs (`extend_path`), and Ctrl-C among the imports that follow ends the process
    without a traceback; a script that wants to hear it sets its own handler.

    Args:
        required: False lets a script that only needs the standard library go on where there is no
            environment.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    extend_path()
    arrived = os.environ.pop(MARK, None) is not None
    module = _module_typed()
    if can_stay(of_links=not module):
        return
    python = ENVIRONMENT / "bin" / "python"
    inside = os.path.realpath(sys.prefix) == os.path.realpath(str(ENVIRONMENT))
    if not arrived and not inside and os.access(str(python), os.X_OK):
        os.environ[MARK] = "1"
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            what = ["-m", module] if module else [os.path.realpath(sys.argv[0])]
            os.execv(str(python), [str(python), *what, *sys.argv[1:]])
        except OSError:
            os.environ.pop(MARK)
    if required or sys.version_info < OLDEST_PYTHON:
        sys.stderr.write(f"streambed: {_why_not(python)}\n")
        sys.exit(2)


def _is_closed(path: str) -> bool:
    """Whether there is, or behind a closed folder may be, a program that this user may not run."""
    if os.access(path, os.F_OK):
        return not os.access(path, os.X_OK)
    while not os.access(path, os.F_OK):
        path = str(Path(path).parent)
    return not os.access(path, os.X_OK)


def _why_not(python: Path) -> str:
    """What keeps the environment from being used, and the way out.

    Root sees everything; of another user's environment, or of one whose interpreter lies in another
    user's home, the rest of us see nothing, which is not the same as nothing being there.
    """
    other = "clone Streambed as this user, and run `make setup` there"
    if os.path.lexists(str(ENVIRONMENT)) and not os.access(str(ENVIRONMENT), os.R_OK | os.X_OK):
        return f"{ENVIRONMENT} may not be read by this user; {other}"
    target = os.path.realpath(str(python))
    if os.path.lexists(str(python)) and _is_closed(target):
        return f"{python} leads to {target}, which this user may not run; {other}"
    return f"not set up yet; run `make setup` in {ROOT}"
