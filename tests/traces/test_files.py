"""A file has its final name only when it is complete; one module sees to it, and none does it by hand."""

from __future__ import annotations

import ast
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from traces import files
from traces.files import PARTIAL, aside, partial_of, settle, sync, sync_folder, write_aside
from traces.ownership import make_within

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("traces", "player", "policies", "testbed", "analysis")
HOME = "traces/files.py"
Rule = Callable[[ast.AST], bool]

RENAMES = {
    "policies/hindsight/train.py": "a candidate that was read back becomes the best",
    "policies/llm/model/base_gguf.py": "a folder, made under a lock",
    "testbed/lanes/retrying.py": "moves what an invalid session left out of the way",
    "testbed/sweeps/folder.py": "moves what an attempt left out of the way",
}
"""Who else renames, and why that writes no file aside."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", ["größer\r\n", b"\x00\xff", ""])
def test_a_whole_file_is_written_as_it_is(tmp_path: Path, content: str | bytes) -> None:
    final = tmp_path / "a.json"
    final.write_text("before")
    write_aside(final, content)
    assert final.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("name", "keep_suffix", "partial"),
    [
        ("a.b.png", True, "a.b.partial.png"),
        ("a.b.png", False, "a.b.png.partial"),
        ("plain", True, "plain.partial"),
    ],
)
def test_a_writer_is_given_the_partial_name(
    tmp_path: Path, name: str, keep_suffix: bool, partial: str
) -> None:
    with aside(tmp_path / name, keep_suffix=keep_suffix) as path:
        path.write_text("x")
        assert names(tmp_path) == [partial]
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("error", [ValueError("the writer's own"), KeyboardInterrupt()])
def test_a_writer_that_fails_leaves_what_was_there_before(tmp_path: Path, error: BaseException) -> None:
    final = tmp_path / "a"
    final.write_text("before")
    with pytest.raises(type(error)), aside(final) as partial:
        partial.write_text("half")
        raise error
    assert names(tmp_path) == ["a"]
    assert final.read_text() == "before"


def test_a_writer_that_fails_before_it_begins_raises_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_aside(tmp_path / "no" / "a", "x")
    assert caught.value.filename == str(tmp_path / "no" / "a.partial")


def test_a_disk_that_is_full_at_the_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_aside(tmp_path / "a", "x")
    assert names(tmp_path) == []


def test_a_file_is_synced_before_it_is_renamed_and_then_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "a"
    seen: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(("synced", names(tmp_path))))
    monkeypatch.setattr(files, "give_to_caller", lambda path: seen.append(("given", names(tmp_path))))
    partial_of(final).write_text("x")
    settle(partial_of(final), final)
    assert seen == [("synced", ["a.partial"]), ("given", ["a"])]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_under_sudo_a_file_belongs_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "4242")
    monkeypatch.setenv("SUDO_GID", "4243")
    write_aside(tmp_path / "a", "x")
    status = (tmp_path / "a").stat()
    assert (status.st_uid, status.st_gid) == (4242, 4243)


def test_a_journal_and_a_folder_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", note)
    with (tmp_path / "journal").open("a") as journal:
        journal.write("line\n")
        sync(journal)
        assert (tmp_path / "journal").read_text() == "line\n", "written before it is synced"
    sync_folder(tmp_path)
    assert synced == [tmp_path / "journal", tmp_path]


def sources() -> Iterator[tuple[str, ast.Module]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def syncs(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node).split(".")[-1] in (
        "fsync",
        "fdatasync",
    )


def renames(node: ast.AST) -> bool:
    """`path.replace(final)`: a text's takes two arguments, that of a moment or a dataclass names its own."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (
            (node.func.attr == "replace" and len(node.args) == 1 and not node.keywords)
            or ast.unparse(node.func) in ("os.replace", "os.rename", "shutil.move")
        )
    )


def names_a_partial(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(PARTIAL)


@pytest.mark.parametrize(("by_hand", "others"), [(syncs, {}), (renames, RENAMES), (names_a_partial, {})])
def test_no_other_module_does_it_by_hand(by_hand: Rule, others: dict[str, str]) -> None:
    found = {path for path, tree in sources() if any(map(by_hand, ast.walk(tree)))}
    assert found == {HOME, *others}


@pytest.mark.parametrize(
    ("source", "by_hand", "is_so"),
    [
        ("os.fsync(1)", syncs, True),
        ("from os import fsync\nfsync(1)", syncs, True),
        ("aside.replace(self.out / BEST)", renames, True),
        ("os.replace(a, b)", renames, True),
        ("text.replace(a, b)", renames, False),
        ("dataclasses.replace(plan, start_s=0)", renames, False),
        ("path.with_name(f'{path.name}.partial')", names_a_partial, True),
        ("folder.glob('*.partial')", names_a_partial, True),
    ],
)
def test_the_rule_sees_what_it_should(source: str, by_hand: Rule, is_so: bool) -> None:
    assert any(map(by_hand, ast.walk(ast.parse(source)))) is is_so


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    """Whoever may write to a folder of results may have put a link there, and the writer may be root."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "results"
    folder.mkdir()
    for name in ("a.json", "a.json.partial", "b.partial.png"):
        (folder / name).symlink_to(victim)
    write_aside(folder / "a.json", "new")
    with aside(folder / "b.png", keep_suffix=True) as path:
        path.write_text("picture")
    with os.fdopen(files.fresh(partial_of(folder / "a.json")), "w") as file:
        file.write("half")
    assert victim.read_text() == "mine"
    assert (folder / "a.json").read_text() == "new" and not (folder / "a.json").is_symlink()
    assert partial_of(folder / "a.json").read_text() == "half"


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a folder", "link to a device"])
@pytest.mark.parametrize("name", ["a", "a.partial"])
def test_no_file_is_put_in_place_of_what_is_none(tmp_path: Path, kind: str, name: str) -> None:
    place = tmp_path / name
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(tmp_path if "folder" in kind else os.devnull)
    if name == "a.partial" and "link" in kind:
        write_aside(tmp_path / "a", "x")  # the link goes, and what it led to stays
        assert (tmp_path / "a").read_text() == "x"
        return
    with pytest.raises(OSError, match="in whose place no file is put") as caught:
        write_aside(tmp_path / "a", "x")
    assert caught.value.filename == str(place)
    assert names(tmp_path) == [name]


def test_what_is_the_systems_stays(tmp_path: Path) -> None:
    """/dev/stdout is a link: a rename would put a file into /dev."""
    with pytest.raises(OSError, match="in whose place no file is put"):
        files.refuse_special(Path("/dev/stdout"))
    with pytest.raises(OSError, match="a device, in whose place no file is put"):
        files.refuse_special(Path(os.devnull))
    with files.growing(Path(os.devnull)) as file:
        file.write("x")


def test_two_writers_of_one_name_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="somebody else writes there"), aside(tmp_path / "a") as path:
        path.write_text("first")
        write_aside(tmp_path / "a", "second")
        path.write_text("first again")
    assert (tmp_path / "a").read_text() == "second"


def test_a_log_grows_in_a_file_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for word in ("a", "b"):
        with files.growing(log) as file:
            file.write(word)
    assert log.read_text() == "ab"
    (tmp_path / "link").symlink_to(log)
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("link", "a symbolic link"), ("pipe", "a pipe")):
        with pytest.raises(OSError, match=f"{kind}, to which nothing is written"):
            files.growing(tmp_path / name)


def test_folders_within_a_folder_are_no_links(tmp_path: Path) -> None:
    assert make_within(tmp_path, "a", "b") == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "a" / "c").symlink_to(tmp_path)
    with pytest.raises(OSError, match="through which nothing is written"):
        make_within(tmp_path, "a", "c", "d")
    assert names(tmp_path) == ["a"]
