"""The doctor: what it makes of what it finds, and that it finds what is there."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import doctor
from testbed.lanes.capacity import WAY_OUT_OF_NOISE, capacity_findings, capacity_of
from testbed.link.lane import require_tools
from testbed.machine import capabilities, kernel, permissions
from testbed.machine.finding import MISSING, NOTE, OK, PACKET_SOCKETS, UNKNOWN, Finding, Report
from testbed.machine.lateness import Lateness, Look
from testbed.machine.readings import CpuTimes, MachineChange, MachineReading
from testbed.process.errors import TestbedError

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "testbed" / "doctor.py"
ROOMS = ("process", "machine", "link", "lanes")
"""What the doctor is made of."""


def report(**statuses: str) -> Report:
    return Report(tuple(Finding("kernel", name, status, "") for name, status in statuses.items()))


def namespaces_and_links() -> tuple[set[str], set[str]]:
    named = Path("/run/netns")
    return (
        {path.name for path in named.iterdir()} if named.is_dir() else set(),
        {path.name for path in Path("/sys/class/net").iterdir()},
    )


@pytest.mark.parametrize(
    ("netem", "sockets", "backend"),
    [(OK, OK, "netem"), (OK, MISSING, "netem"), (MISSING, OK, "relay"), (UNKNOWN, MISSING, None)],
)
def test_delay_backend_is_netem_where_the_kernel_has_it(
    netem: str, sockets: str, backend: str | None
) -> None:
    assert report(**{"netem": netem, PACKET_SOCKETS: sockets}).delay_backend == backend


@pytest.mark.parametrize(
    ("netem", "sockets", "status"),
    [(MISSING, OK, OK), (MISSING, MISSING, MISSING), (UNKNOWN, MISSING, UNKNOWN), (OK, UNKNOWN, OK)],
)
def test_one_of_netem_and_packet_sockets_is_needed(netem: str, sockets: str, status: str) -> None:
    stage = kernel.delay_stage(
        [Finding("kernel", "netem", netem, ""), Finding("kernel", PACKET_SOCKETS, sockets, "")]
    )
    assert (stage.status, stage.needed) == (status, True)


def test_only_what_is_needed_stops_a_session() -> None:
    optional = Finding("kernel", "fq", MISSING, "")
    needed = Finding("programs", "tc", MISSING, "", "apt-get install iproute2", needed=True)
    hidden = Finding("kernel", "tbf", UNKNOWN, "", "ask again as root", needed=True)
    assert Report((optional,)).can_emulate
    assert not Report((optional, needed)).can_emulate
    assert not Report((hidden,)).can_emulate
    assert Report((needed, hidden)).summary() == (
        "Emulation cannot run here: tc: apt-get install iproute2; tbf: ask again as root."
    )
    nobody = Finding("process", "root", MISSING, "uid 1000", "run as root", needed=True)
    assert Report((nobody, hidden)).summary() == "Emulation cannot run here: root: run as root."


def held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *without: str) -> list[Finding]:
    """What is found of the rights of root that lacks some."""
    bits = ~0 & (1 << 41) - 1
    for name in without:
        bits &= ~(1 << permissions.CAPABILITIES[name][0])
    (tmp_path / "status").write_text(f"Name:\tx\nCapEff:\t{bits:016x}\nCapBnd:\t0000000000000000\n")
    monkeypatch.setattr(permissions, "STATUS", tmp_path / "status")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    return permissions.permissions()


@pytest.mark.parametrize("name", ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN"])
def test_a_right_that_root_lacks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    assert permissions.refusals(held(monkeypatch, tmp_path)) == []
    found = held(monkeypatch, tmp_path, name)
    (refusal,) = permissions.refusals(found)
    assert refusal.startswith(f"{name} is missing (") and "--privileged" in refusal
    with pytest.raises(TestbedError, match=f"^{name} is missing"):
        require_tools()
    broken = Finding("kernel", "veth", MISSING, "", "this kernel was built without veth", needed=True)
    assert "veth" not in Report((*found, broken)).summary() and name in Report((*found, broken)).summary()


def test_without_the_right_to_try_the_kernel_is_not_declared_poor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = capabilities._kernel_features(held(monkeypatch, tmp_path, "CAP_NET_ADMIN"))
    assert {(one.status, one.detail) for one in found} == {(UNKNOWN, "needs CAP_NET_ADMIN to try")}


def test_system_settings_that_cannot_be_written_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    held(monkeypatch, tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith("/proc/sys"))
    (refusal,) = permissions.refusals(permissions.permissions())
    assert refusal.startswith("writable /proc/sys is missing") and "mount -o remount,rw /proc/sys" in refusal
    with pytest.raises(TestbedError, match=r"^writable /proc/sys is missing"):
        require_tools()


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tc").touch(mode=0o755)
    monkeypatch.setattr(kernel, "SEARCH_PATH", str(tmp_path))
    found = {finding.name: finding for finding in capabilities._tools()}
    assert found["tc"].status == OK
    assert found["mnexec"].status == MISSING
    assert found["mnexec"].way_out == "apt-get install --no-install-recommends mininet"


def test_without_iproute_the_kernel_is_not_declared_poor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kernel, "SEARCH_PATH", str(tmp_path))
    found = {finding.name: finding.status for finding in capabilities.probe().findings}
    assert {found[feature.name] for feature in kernel.KERNEL_FEATURES} == {UNKNOWN}
    assert found["tc"] == MISSING


def test_a_feature_that_does_not_apply_is_missing_for_root_only(monkeypatch: pytest.MonkeyPatch) -> None:
    netem = next(feature for feature in kernel.KERNEL_FEATURES if feature.name == "netem")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert kernel._feature(netem, "failed Error: Specified qdisc kind is unknown.").status == MISSING
    assert "no error was given" in kernel._feature(netem, "failed ").detail
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert kernel._feature(netem, "failed Error: Specified qdisc kind is unknown.").status == UNKNOWN


@pytest.mark.parametrize(
    ("listed", "system", "way_out"),
    [
        ("kernel/net/sched/sch_netem.ko.zst:", "ubuntu", "as root: modprobe sch_netem"),
        ("kernel/net/sched/sch_tbf.ko:", "ubuntu", "apt-get install linux-modules-extra-6.8.0-31-generic"),
        ("kernel/net/sched/sch_tbf.ko:", "debian", "built without sch_netem"),
    ],
)
def test_way_to_a_kernel_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, listed: str, system: str, way_out: str
) -> None:
    (tmp_path / "modules.dep").write_text(listed)
    monkeypatch.setattr(kernel, "modules_folder", lambda: tmp_path)
    monkeypatch.setattr(kernel, "os_release", lambda: {"ID": system})
    monkeypatch.setattr("platform.release", lambda: "6.8.0-31-generic")
    assert way_out in kernel._way_to_module("sch_netem")


@pytest.mark.parametrize(("code", "status"), [(errno.EPERM, OK), (errno.ENOENT, MISSING)])
def test_congestion_control_by_what_the_kernel_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, status: str
) -> None:
    class Refusing(socket.socket):
        def setsockopt(self, *_: object) -> None:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(kernel, "modules_folder", lambda: tmp_path)
    monkeypatch.setattr(socket, "socket", Refusing)
    assert kernel.congestion_control("bbr", needed=False).status == status


def test_json_is_one_object_and_exit_status_follows_it() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--json"], capture_output=True, text=True)
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["can_emulate"] else 1), done.stderr
    assert {"root", "environment", "mnexec", "tbf", "netem", "packet sockets"} <= {
        f["name"] for f in answer["findings"]
    }
    assert answer["capacity"]["lanes"] >= 1 and answer["capacity"]["timer_late_p50_ms"] >= 0


def machine_words(late: Lateness, change: MachineChange, others: float = 0.0) -> dict[str, Finding]:
    """What the doctor says of a machine whose processors were away for a fortieth since boot."""
    boot = MachineReading(1000.0, (CpuTimes(100.0, 875.0, 25.0),) * change.cpus, None, {}, 0.0)
    found = capacity_of(Look(late, change, others), boot)
    return {one.name: one for one in capacity_findings(found)}


def test_a_machine_that_loses_time_is_told_what_it_still_holds() -> None:
    change = MachineChange(2.0, 2, 0.041, 0.05, 0.25, 0.709, 0.1, 0.1)
    said = machine_words(Lateness(0.05, 3.0, 12.0, True), change)
    assert said["timer"].detail == "0.05 ms late, 3.00 at p99, 12.00 at worst"
    assert said["timer"].way_out == WAY_OUT_OF_NOISE
    assert said["steal"].detail == "4.1 % of its time goes to others (2.5 % since boot), 71 % is idle"
    assert said["links"].detail.startswith("up to about 6.1 Mbit/s they stay within 1 %")
    assert said["lanes"].detail.startswith("about 17 side by side")


def test_a_quiet_machine_is_not_told_to_end_other_work() -> None:
    said = machine_words(
        Lateness(0.05, 0.1, 1.0, False), MachineChange(2.0, 2, None, None, None, None, None, None)
    )
    assert said["timer"].way_out == "" and "not in real time" in said["timer"].detail
    assert said["steal"].detail == "the kernel does not tell what others take"
    assert said["links"].detail.startswith("up to about 1000 Mbit/s")
    assert said["lanes"].detail.startswith("about 20 side by side")


def test_a_machine_that_is_away_half_of_the_time_holds_no_link() -> None:
    said = machine_words(Lateness(9.0, 40.0, 90.0, True), MachineChange(2.0, 2, 0.3, 0.4, 0.3, 0.4, 0.5, 0.3))
    assert said["links"].detail.startswith("no link stays within 1 %")
    assert said["lanes"].detail.startswith("about 1 side by side")


def test_a_person_reads_each_finding_and_its_way_out() -> None:
    findings = (
        Finding("programs", "tc", MISSING, "shapes links", "apt-get install iproute2", needed=True),
        Finding("machine", "cores", NOTE, "2"),
    )
    text = doctor.render(Report(findings), colour=False)
    assert "missing      tc     shapes links\n" in text
    assert "-> apt-get install iproute2\n" in text
    assert "\033[" not in text
    assert "\033[31m" in doctor.render(Report(findings), colour=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_is_not_root_is_told_so_and_gets_no_traceback(tmp_path: Path) -> None:
    copy = tmp_path / "testbed"
    for folder in ("testbed", *(f"testbed/{room}" for room in ROOMS), "traces", "player"):
        (tmp_path / folder).mkdir()
        for module in (ROOT / folder).glob("*.py"):
            (tmp_path / folder / module.name).write_text(module.read_text())
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    python = next((p for p in ("/usr/bin/python3", sys.executable) if Path(p).exists()), sys.executable)
    done = subprocess.run(
        [python, copy / "doctor.py", "--json"],
        capture_output=True,
        text=True,
        user=65534,
        group=65534,
        cwd="/",
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert "root" in answer["missing"]
    assert "namespaces" in answer["missing"] + answer["cannot_tell"]


@pytest.mark.emulation
def test_probe_tries_the_real_kernel_and_leaves_nothing(machine: Report) -> None:
    before = namespaces_and_links()
    again = capabilities.probe()
    assert namespaces_and_links() == before
    assert again.can_emulate
    assert again.delay_backend == machine.delay_backend
    assert again.has("tbf")
    assert again.has("veth")


@pytest.mark.emulation
def test_who_delays_is_told_without_the_rest(machine: Report) -> None:
    found = capabilities.probe_delay()
    assert (found.delay_backend, found.has_netem) == (machine.delay_backend, machine.has_netem)
    assert found.has_packet_sockets == machine.has_packet_sockets
    assert not found.has("tbf")


@pytest.mark.emulation
def test_a_command_that_fails_in_the_namespace_is_seen() -> None:
    veth = kernel.KERNEL_FEATURES[0]
    bogus = kernel.KernelFeature(
        "bogus", "sch_bogus", "nothing", "tc qdisc add dev sb0 root handle 9: bogus", needed=True
    )
    found = kernel.kernel_features((veth, bogus))
    assert [finding.status for finding in found] == [OK, MISSING]
    assert "unknown" in found[1].detail.lower()
