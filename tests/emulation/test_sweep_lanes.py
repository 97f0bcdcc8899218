"""A sweep over real namespaces and packets: two lanes, players that share a bottleneck, a `kill -9`."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from player.record import Record, read_record
from tests.support.emulation import ROOT, Run, surroundings, write_trace, write_video

pytestmark = pytest.mark.emulation

SCRIPT = ROOT / "testbed" / "sweep.py"
CHUNKS, CHUNK_S, STAGGER_S = 3, 0.4, 0.5

SWEEP = f"""\
name = "tiny"
policies = ["bba", {{ spec = "asked.py:Asked", label = "asked", delay_ms = 50 }}]

[defaults]
chunks = {CHUNKS}
video = "short"
rtt_ms = 20

[[setting]]
label = "alone"
traces = ["up.log", "down.log"]

[[setting]]
label = "shared"
traces = "up.log"
players = 2
stagger_s = {STAGGER_S}
"""


ASKED = """
import json, os, socket, sys, threading
from player.policy import Decision, ServerCommand

class Asked:
    def server(self):
        return ServerCommand("asked", (), "ASKED_SOCKET")

    def check(self, video, qoe): pass

    def reset(self, video, seed, qoe):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.environ["ASKED_SOCKET"])

    def select(self, observation):
        self.socket.sendall(b"?")
        return Decision(int(self.socket.recv(1)), "llm")

def answer(connection):
    while connection.recv(1):
        connection.sendall(b"1")

if __name__ == "__main__":
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(sys.argv[sys.argv.index("--socket") + 1])
    listening.listen()
    print(json.dumps({"line": "ready", "pid": os.getpid()}), flush=True)
    while True:
        threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()
"""
"""A policy whose decisions are a server's, and the server."""


@dataclass(frozen=True)
class Whole:
    """A sweep that was killed, and went on to its end."""

    before: dict[str, tuple[int, bytes]]
    """What was there when it was killed."""
    status: int
    out: str
    err: str
    folder: Path
    untouched: bool

    @property
    def records(self) -> list[Record]:
        return [read_record(path) for path in sorted(self.folder.glob("*.jsonl"))]

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "sweep.json").read_text())
        return found

    def manifest(self, record: Record, section: str) -> dict[str, Any]:
        found: dict[str, Any] = record.manifest[section]
        return found


def held(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("*.jsonl")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    place = tmp_path_factory.mktemp("sweep")
    write_trace(place / "up.log", (3.0, 4.0, 5.0, 6.0))
    write_trace(place / "down.log", (6.0, 5.0, 4.0, 3.0))
    write_video(place / "short", CHUNKS, CHUNK_S)
    (place / "s.toml").write_text(SWEEP)
    (place / "asked.py").write_text(ASKED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(place))  # where the server's module is
        yield killed_and_gone_on(place)


def killed_and_gone_on(place: Path) -> Whole:
    untouched = surroundings()
    words = ("s.toml", "--lanes", "2", "--out", "out")
    killed = Run(place, *words, script=SCRIPT)
    killed.expect(lambda: list((place / "out").glob("*.jsonl")), "a record")
    namespaces = killed.namespaces()
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    killed.expect_nothing_left(namespaces)
    before = held(place / "out")
    again = Run(place, *words, "--json", script=SCRIPT)
    status = again.finish()
    again.expect_nothing_left()
    return Whole(before, status, again.out, again.err, place / "out", surroundings() == untouched)


def test_a_killed_sweep_goes_on_and_every_session_is_there_once(whole: Whole) -> None:
    assert whole.status == 0, whole.err
    assert whole.untouched
    report = json.loads(whole.out)
    assert report["counts"]["done"] == report["counts"]["expected"] == 2 * 2 + 2 * 2 == len(whole.records)
    after = held(whole.folder)
    assert {name: after[name] for name in whole.before} == whole.before
    assert len(whole.state["commands"]) == 2 and whole.state["lanes"]["used"] == 2
    assert not list(whole.folder.rglob("*.partial"))


def test_every_session_finished_over_a_true_link_and_says_what_it_is_of(whole: Whole) -> None:
    rows = {row["record"]: row for row in whole.state["sessions"]}
    for record in whole.records:
        assert (record.end.outcome, record.end.valid, record.end.chunks) == ("finished", True, CHUNKS)
        row, mine = rows[Path(record.path).name], record.manifest["sweep"]
        assert (mine["setting"], mine["policy"], mine["session"]) == (
            row["setting"],
            row["policy"],
            row["session"],
        )
    assert {record.manifest["lane"][-2:] for record in whole.records} == {"-0", "-1"}


def test_a_policy_that_asks_a_server_has_one_for_all_its_sessions(whole: Whole) -> None:
    asked = [one for one in whole.records if one.manifest["sweep"]["policy"] == "asked"]
    new = [one for one in asked if Path(one.path).name not in whole.before]
    assert len(asked) == 4 and {row.by for one in asked for row in one.chunks} == {"llm"}
    assert len({one.manifest["policy_server"]["pid"] for one in new}) == 1
    assert all("policy_server" not in one.manifest for one in whole.records if one not in asked)


def test_a_delayed_policy_takes_its_time_on_a_real_link_too(whole: Whole) -> None:
    for record in whole.records:
        slow = record.manifest["sweep"]["policy"] == "asked"
        assert all((row.decision_s >= 0.05) == slow for row in record.chunks)
        assert record.manifest["policy"]["parameters"].get("delay_ms") == (50.0 if slow else None)


def test_players_that_share_a_bottleneck_have_one_link_and_a_record_each(whole: Whole) -> None:
    groups: dict[str, list[Record]] = {}
    for record in whole.records:
        if "shared" in record.manifest:
            groups.setdefault(record.manifest["shared"]["group"], []).append(record)
    assert len(groups) == 2
    for members in groups.values():
        first, second = sorted(members, key=lambda one: int(one.manifest["shared"]["index"]))
        assert [one.manifest["shared"]["offset_s"] for one in (first, second)] == [0.0, STAGGER_S]
        assert second.manifest["trace"]["start_s"] - first.manifest["trace"]["start_s"] == STAGGER_S
        assert second.manifest["seed"] == first.manifest["seed"] + 1
        assert first.manifest["lane"] == second.manifest["lane"]
        judged = [{**one.end.link, "machine": None} for one in (first, second)]
        assert judged[0] == judged[1]  # once, for all; the machine is each one's own time
        carried = sum(row.size_bytes for one in (first, second) for row in one.chunks)
        assert carried < first.end.link["sent_bytes"] < 1.2 * carried
        group = first.manifest["shared"]["group"]
        logs = sorted(path.name for path in (whole.folder / "logs").glob(f"{group}_p*"))
        assert logs == [f"{group}_p0.link.jsonl", f"{group}_p0.origin.jsonl"]


def test_a_players_session_is_reproduced_with_the_player_that_it_shared_with(whole: Whole) -> None:
    place = whole.folder.parent
    (record,) = (one for one in whole.folder.glob("shared*bba*_p1.jsonl"))
    run = Run(place, "--reproduce", record, "--out", "again", "--json")
    assert run.finish() == 0, run.err
    report = json.loads(run.out)
    assert report["settings"] == [] and report["outcome"]["outcome"]["again"] == "finished"
    again = sorted(path.name for path in (place / "again").glob("*.jsonl"))
    assert again == ["other-player-0.jsonl", record.name]
    assert read_record(place / "again" / record.name).manifest["shared"]["players"] == 2


def test_an_interrupted_sweep_ends_in_order(whole: Whole) -> None:
    place = whole.folder.parent
    (place / "long.toml").write_text(SWEEP.replace("chunks = 3", "chunks = 3\nrepetitions = 20"))
    run = Run(place, "long.toml", "--lanes", "2", "--out", "long", script=SCRIPT)
    run.expect(lambda: list((place / "long").glob("*.jsonl.partial")), "a session")
    run.interrupt_group()
    assert run.finish() == 130
    run.expect_nothing_left()
    assert run.err == "sweep.py: interrupted; the same command goes on from there\n"
    assert not list((place / "long").rglob("*.partial"))
