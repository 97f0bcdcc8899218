"""`python -m policies list`: every policy with its options, as they are taken."""

from __future__ import annotations

import json

import pytest

from player.registry import CALL, load_policy, policy_names
from policies.__main__ import main


def test_every_policy_stands_in_the_table_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    whole = capsys.readouterr().out
    of_videos, of_calls = whole.split("policy of calls")
    lines = of_videos.splitlines()
    rows = {line.split()[0]: line for line in lines[1:] if line and not line.startswith(" ")}
    assert set(policy_names()) <= set(rows)
    assert "reservoir_s (5), cushion_s (10)" in rows["bba"]
    assert "level (has to be given)" in rows["fixed"]
    assert all("weights (-)" in rows[name] for name in ("genet", "udr", "hindsight"))
    assert "simulated sessions only" in rows["oracle"]
    called = {
        line.split()[0]: line for line in of_calls.splitlines()[1:] if line and not line.startswith(" ")
    }
    assert set(policy_names(kind=CALL)) <= set(called)
    assert "kbps (has to be given)" in called["fixed"] and "probe (true)" in called["gcc"]


def test_the_object_has_the_defaults_that_a_policy_is_made_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in shown["call_policies"]] == policy_names(kind=CALL)
    listed = {one["name"]: one for one in shown["policies"]}
    assert list(listed) == policy_names()
    assert listed["fixed"]["needed"] == ["level"] and listed["fixed"]["options"] == {}
    for name, one in listed.items():
        assert one["about"] and "\n" not in one["about"]
        if not one["needed"]:
            assert one["options"] == load_policy(name).parameters
