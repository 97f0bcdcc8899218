"""A manager at the bottleneck: what tc is told, what is refused in the kernel's words, what records hold."""

from __future__ import annotations

import dataclasses

import pytest

from testbed.aqm import managed
from testbed.link.settings import AQMS, FIFO, LinkSettings
from testbed.link.tbf import FRAME_BYTES
from testbed.machine.aqm_features import AQM_FEATURES
from testbed.machine.finding import MISSING, OK, UNKNOWN, Finding
from testbed.process.errors import TestbedError


def test_every_manager_that_may_be_asked_for_can_be_tried() -> None:
    assert {one.name for one in AQM_FEATURES} == set(AQMS) - {FIFO}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("codel", "codel limit 200"),
        ("fq_codel", "fq_codel limit 200"),
        ("pie", "pie limit 200"),
        ("cake", f"cake unlimited memlimit {200 * FRAME_BYTES}"),
    ],
)
def test_tc_is_told_the_asked_queue_as_a_limit(kind: str, words: str) -> None:
    assert managed.manager_words(kind, 200 * FRAME_BYTES, 4.0) == words.split()


def test_a_limit_holds_a_probes_train() -> None:
    assert managed.limit_frames(3 * FRAME_BYTES) == managed.LEAST_FRAMES


def test_red_keeps_the_bounds_of_its_manual() -> None:
    words = managed.manager_words("red", 200 * FRAME_BYTES, 4.0)
    told = dict(zip(words[1:-1:2], words[2:-1:2], strict=False))
    least, most, limit, burst = (int(told[name]) for name in ("min", "max", "limit", "burst"))
    assert 2 * least <= most and limit >= most + burst and burst * 1000 >= least
    assert told["bandwidth"] == "4000kbit" and words[-1] == "adaptive"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (MISSING, "--aqm codel: this kernel has none: CoDel (Error: unknown kind.); modprobe sch_codel"),
        (UNKNOWN, "--aqm codel: nobody can tell whether this kernel has it: CoDel"),
    ],
)
def test_what_the_kernel_has_not_is_refused_in_its_words(
    status: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Finding(
        "kernel", "codel", status, "--aqm codel: CoDel (Error: unknown kind.)", "modprobe sch_codel"
    )
    monkeypatch.setattr(managed, "_tried", lambda kind: found)
    with pytest.raises(TestbedError) as refused:
        managed.refuse_aqm("codel")
    assert str(refused.value).startswith(said)


def test_what_it_has_is_taken_and_a_fifo_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managed, "_tried", lambda kind: Finding("kernel", kind, OK, ""))
    managed.refuse_aqm("pie")
    monkeypatch.setattr(managed, "_tried", None)
    managed.refuse_aqm(FIFO)


def test_a_link_without_one_is_recorded_as_before_there_were_any() -> None:
    plain, with_codel = LinkSettings(), LinkSettings(aqm="codel")
    assert "aqm" not in plain.recorded and with_codel.recorded["aqm"] == "codel"
    assert {**plain.recorded, "aqm": FIFO} == dataclasses.asdict(plain)
    with pytest.raises(TestbedError, match="AQM 'blue': expected fifo, codel"):
        LinkSettings(aqm="blue")
