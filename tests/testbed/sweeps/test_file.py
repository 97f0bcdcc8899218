"""A sweep's file: mistakes name their line and the nearest right word; the plan is the grid, in blocks."""

from __future__ import annotations

import fnmatch
import itertools
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from testbed.process.errors import TestbedError
from testbed.sweeps.experiment.lines import Lines
from testbed.sweeps.experiment.plan import SweepPlan, plan_sweep
from testbed.sweeps.experiment.schema import CALL_FIGURES, KEYS, read_sweep
from testbed.sweeps.state import manifest_facts

ROOT = Path(__file__).resolve().parents[3]

GOOD = """\
name = "good"
policies = [
    "bba",
    { spec = "rate", label = "by rate", delay_ms = [0, 100] },
]

[defaults]
chunks = 6

[[setting]]
label = "usual"
seen = true
traces = ["4g[0:3]"]
rtt_ms = [40, 80]

[[setting]]
label = "other"
seen = false
traces = "3g[0:2]"
loss_pct = 1
seeds = [1, 2]
repetitions = 2
players = 2
"""


def planned(tmp_path: Path, text: str = GOOD, simulated: bool = False, model: str = "published") -> SweepPlan:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return plan_sweep(read_sweep(path), simulated=simulated, link_model=model)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("\n[defaults]", 'base_line = "bba"\n[defaults]', 6, ["key 'base_line'", "did you mean baseline?"]),
        ("\n[defaults]", 'baseline = "bb"\n[defaults]', 6, ["'bb' is none of", "did you mean bba?"]),
        ('"bba",', '"bbq",', 3, ["unknown name 'bbq'", "did you mean bba?"]),
        ("delay_ms", "delay", 4, ["unknown key 'delay' of a policy", "did you mean delay_ms?"]),
        ("[0, 100]", '"soon"', 4, ["delay_ms is 'soon'"]),
        ('label = "by rate", delay_ms = [0, 100]', 'label = "bba"', 4, ["two policies are labelled 'bba'"]),
        ("chunks = 6", "chunks = 6.5", 8, ["chunks is 6.5", "a whole number"]),
        ("chunks = 6", "chunks = 999", 8, ["chunks is 999", "envivio has 48"]),
        ("rtt_ms = [40, 80]", "rtt_ms = [40, 40]", 14, ["40.0 twice"]),
        (
            "rtt_ms = [40, 80]",
            "rtt_ms = [0.1234567, 0.1234571]",
            14,
            ["rtt_ms has 0.1234567 and 0.1234571, which labels show alike, as 0.123457; round them"],
        ),
        ("rtt_ms = [40, 80]", "rtt_ms = [40, -80]", 14, ["rtt_ms is -80"]),
        ("rtt_ms = [40, 80]", "rtt = 80", 14, ["unknown key 'rtt' in a [[setting]]", "did you mean rtt_ms?"]),
        ("seen = true", 'seen = "yes"', 12, ["seen is 'yes'", "true or false"]),
        ("seen = true", "stress = 1", 12, ["stress is 1", "true or false"]),
        ('"4g[0:3]"', '"4g[0:3]", "5G"', 13, ["no family and no file is named '5G'", "did you mean '5g'"]),
        ('"4g[0:3]"', '"4g[0:3]", "4g/1"', 13, ["trace 4g/1 is named twice"]),
        (
            "chunks = 6",
            "chunks = 6\nbuffer_cap_s = [3, 60]",
            9,
            ["buffer_cap_s 3: a chunk of 4 s doesn't fit"],
        ),
        ("loss_pct = 1", "loss_pct = 100", 20, ["loss_pct is 100"]),
        ('label = "other"', 'label = "usual"', 17, ["two settings are labelled 'usual'"]),
        ('label = "other"', 'video = "envivo"\nlabel = "other"', 17, ["envivo", "envivio"]),
        ("players = 2", "queue_ms = 3\nqueue_bytes = 4000", 24, ["exclude each other"]),
        ("players = 2", "players = 2 2", 23, ["Expected newline"]),
    ],
)
def test_a_mistake_names_its_line_and_the_way_out(
    tmp_path: Path, old: str, new: str, line: int, words: Sequence[str]
) -> None:
    assert old in GOOD
    with pytest.raises(TestbedError) as caught:
        planned(tmp_path, GOOD.replace(old, new, 1))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'sweep.toml'}:{line}: ") and "\n" not in message, message
    assert all(word in message for word in words), message


def test_lines_of_tables_keys_and_words_in_them() -> None:
    lines = Lines(GOOD)
    places = (("setting", 1), ("setting", 1, "seeds"), ("defaults", "chunks"))
    assert [lines.of(place) for place in places] == [16, 21, 8]
    assert lines.of(("policies", 1), "rate") == 4
    assert lines.of(("policies", 1, "delay_ms")) == 4
    assert lines.of(("nothing",)) == 1


def test_the_plan_is_the_whole_grid(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert [policy.spec for policy in plan.policies] == ["bba", "rate:delay_ms=0", "rate:delay_ms=100"]
    assert [policy.label for policy in plan.policies] == ["bba", "by rate delay_ms=0", "by rate delay_ms=100"]
    labels = ["usual, rtt_ms 40", "usual, rtt_ms 80", "other"]
    assert [setting.label for setting in plan.settings] == labels
    usual, other = (
        [unit for unit in plan.units if unit.setting.group == group] for group in ("usual", "other")
    )
    assert len(usual) == 2 * 3 * 3 and len(other) == 2 * 2 * 2 * 3  # rtt, trace, policy; trace, seed, again
    assert plan.sessions == len(usual) + 2 * len(other)
    assert {unit.setting.seen for unit in usual} == {True} and {unit.setting.seen for unit in other} == {
        False
    }
    assert all(unit.chunks == 6 for unit in plan.units)
    names = [session for unit in plan.units for session in unit.sessions]
    assert len(set(names)) == plan.sessions and len({plan.identity(unit) for unit in plan.units}) == len(
        plan.units
    )


def test_every_policy_meets_a_trace_in_one_block_and_the_seed_gives_the_order(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    blocks = [list(units) for _, units in itertools.groupby(plan.units, key=lambda unit: unit.block)]
    assert [block[0].block for block in blocks] == list(range(2 * 3 + 2 * 2 * 2))
    for block in blocks:
        assert sorted(unit.policy.label for unit in block) == sorted(policy.label for policy in plan.policies)
        assert (
            len({(unit.setting.label, unit.swept.trace.name, unit.seed, unit.repetition) for unit in block})
            == 1
        )
    names = [unit.name for unit in plan.units]
    assert names == [unit.name for unit in planned(tmp_path).units]
    other = planned(tmp_path, "order_seed = 1\n" + GOOD)
    assert names != [unit.name for unit in other.units] and set(names) == {unit.name for unit in other.units}
    assert plan.sha256 == other.sha256  # the same sessions, in whatever order


def test_what_an_engine_cannot_do_is_left_out_and_named(tmp_path: Path) -> None:
    assert (
        planned(tmp_path, simulated=True, model="tcp").left_out == planned(tmp_path, simulated=True).left_out
    )
    queue = GOOD.replace("rtt_ms = [40, 80]", "queue_ms = [50, 200]")
    by_tcp, published = (planned(tmp_path, queue, True, model) for model in ("tcp", "published"))
    assert {unit.setting.label for unit in by_tcp.units} == {"usual, queue_ms 50", "usual, queue_ms 200"}
    assert {unit.setting.label for unit in published.units} == {"usual, queue_ms 200"}
    assert any("link model published: it knows no queue_ms" in note for note in published.notes)
    reno = planned(tmp_path, GOOD.replace("rtt_ms = [40, 80]", 'cc = "reno"'), True, "tcp")
    assert any("models cubic only" in note for note in reno.notes) and not reno.units
    text = GOOD.replace('"bba",', '"bba", "oracle",')
    assert "oracle" not in {unit.policy.label for unit in planned(tmp_path, text, True, "tcp").units}
    computed, emulated = planned(tmp_path, text, simulated=True), planned(tmp_path, text)
    assert {unit.setting.group for unit in computed.units} == {"usual"}
    assert computed.sessions == 2 * 3 * 4 and computed.left_out == 2 * (2 * 2) * 4
    assert any("other: simulated players do not share" in note for note in computed.notes)
    assert any("comes out the same" in note for note in computed.notes)
    assert "oracle" not in {unit.policy.label for unit in emulated.units}
    assert any("oracle" in note and "future" in note for note in emulated.notes)


def test_a_policy_is_left_out_of_settings_whose_thresholds_it_cannot_plan_for(tmp_path: Path) -> None:
    text = GOOD.replace('"bba",', '"bba", "oracle",').replace("rtt_ms = [40, 80]", "startup_s = [0, 8]")
    some = planned(tmp_path, text, simulated=True)
    told = {unit.setting.label for unit in some.units if unit.policy.label == "oracle"}
    assert told == {"usual, startup_s 0"}
    assert len({unit.setting.label for unit in some.units if unit.policy.label == "bba"}) == 2
    (note,) = [note for note in some.notes if "oracle" in note]
    assert note.startswith("left out, policy oracle in setting usual, startup_s 8: ")
    nowhere = planned(tmp_path, text.replace("chunks = 6", "chunks = 6\nresume_s = 8"), simulated=True)
    assert "oracle" not in {unit.policy.label for unit in nowhere.units}
    assert any(note.startswith("left out, policy oracle: ") for note in nowhere.notes)


def test_a_start_is_the_traces_own_point(tmp_path: Path) -> None:
    plan = planned(tmp_path, GOOD.replace("rtt_ms = [40, 80]", "start_s = [0, 100.3, 730]"))
    at_s = {unit.start.at_s for unit in plan.units if unit.setting.label == "usual"}
    assert len(at_s) == 3 and 0.0 in at_s  # 730 s wraps in a trace of 600 s
    for unit in plan.units:
        assert unit.start.at_s == unit.swept.trace.time_s[unit.start.index - 1]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "testbed" / "sweeps").glob("*.toml")), ids=lambda path: path.stem
)
def test_shipped_files_are_good(path: Path) -> None:
    for simulated in (False, True):
        plan = plan_sweep(read_sweep(path), simulated=simulated)
        assert plan.units and plan.file.question and plan.file.baseline


def test_stress_is_false_unless_said_and_then_changes_no_session(tmp_path: Path) -> None:
    plain, told = (
        planned(tmp_path, GOOD.replace("seen = true", f"seen = true{more}"))
        for more in ("", "\nstress = false")
    )
    assert not any(setting.stress or "stress" in setting.facts for setting in plain.settings)
    assert plain.sha256 == told.sha256  # a folder from before the word goes on
    stressed = planned(tmp_path, GOOD.replace("seen = true", "seen = true\nstress = true"))
    assert [setting.facts.get("stress") for setting in stressed.settings] == [True, True, None]
    assert stressed.sha256 != plain.sha256


def test_a_list_of_numbers_is_an_axis_of_one_setting(tmp_path: Path) -> None:
    text = GOOD.replace("rtt_ms = [40, 80]", 'rtt_ms = [40, 80]\nloss_pct = [0, 1]\ncc = ["cubic", "reno"]')
    plan = planned(tmp_path, text)
    usual, other = plan.file.settings
    assert (usual.axes, other.axes) == (
        ("rtt_ms", "loss_pct"),
        (),
    )  # none of words, seeds, starts
    points = [setting for setting in plan.settings if setting.group == "usual"]
    assert len(points) == 8
    where = {"rtt_ms": 80.0, "loss_pct": 1.0}
    assert [one.label for one in points if one.axis == where] == [
        "usual, rtt_ms 80, loss_pct 1, cc cubic",
        "usual, rtt_ms 80, loss_pct 1, cc reno",
    ]
    assert plan.settings[-1].axis == {} and "axis" not in points[0].facts  # older folders go on
    assert points[0].told["axis"] == {"rtt_ms": 40.0, "loss_pct": 0.0}
    unit = next(unit for unit in plan.units if unit.setting is points[-1])
    said = manifest_facts(plan, unit, 0, 1)["sweep"]
    assert (said["group"], said["axis"]) == ("usual", where)


def test_another_value_of_an_axis_changes_none_of_the_sessions_that_are_there(tmp_path: Path) -> None:
    two, three = (
        planned(tmp_path, GOOD.replace("[40, 80]", values)) for values in ("[40, 80]", "[40, 80, 160]")
    )
    now = {unit.name: three.identity(unit) for unit in three.units}
    assert {unit.name: two.identity(unit) for unit in two.units}.items() <= now.items()


def test_a_trace_is_found_beside_the_file_from_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    text = GOOD.replace('"4g[0:3]"', '"4g[0:1]", "own.log", "logs[1:2]"')
    (tmp_path / "own.log").write_text("1 2.5\n2 3\n")
    (tmp_path / "logs").mkdir()
    for name in ("a", "b"):
        (tmp_path / "logs" / f"{name}.log").write_text("1 4\n2 5\n")
    plan = planned(tmp_path, text)
    beside = {swept.spec: swept.trace.rate_mbps[-1] for swept in plan.traces}
    assert beside[str(tmp_path / "own.log")] == 3 and beside[str(tmp_path / "logs[1:2]")] == 5
    (tmp_path / "here" / "own.log").write_text("1 2.5\n2 9\n")  # where one stands comes first
    assert {swept.spec: swept.trace.rate_mbps[-1] for swept in planned(tmp_path, text).traces}["own.log"] == 9


def test_the_link_that_goes_dark_is_packaged_and_dark_for_5_s_in_30() -> None:
    plan = plan_sweep(read_sweep(ROOT / "testbed" / "sweeps" / "stress.toml"), simulated=False)
    (dark,) = (swept.trace for swept in plan.traces if swept.spec.endswith("dark.log"))
    assert dark.duration_s == 30.0 and dark.time_s[-2:] == (25.0, 30.0)
    assert dark.rate_mbps[-1] == 0.0 and set(dark.rate_mbps[:-1]) == {2.5}
    assert all(setting.stress and setting.seen is False for setting in plan.settings)
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert any(fnmatch.fnmatch("dark.log", pattern) for pattern in packaged["testbed.sweeps"])


def test_giving_requests_up_is_an_axis_of_emulated_sessions_and_changes_no_others(tmp_path: Path) -> None:
    usual = [unit for unit in planned(tmp_path).units if unit.setting.group == "usual"]
    both = planned(tmp_path, GOOD.replace("rtt_ms = [40, 80]", "rtt_ms = [40, 80]\nabandon = [false, true]"))
    twice = [unit for unit in both.units if unit.setting.group == "usual"]
    off = [unit for unit in twice if not unit.setting.thresholds.abandon]
    assert len(twice) == 2 * len(usual) and len(off) == len(usual)
    assert "abandon" not in off[0].setting.facts
    assert {unit.setting.facts.get("abandon") for unit in both.units} == {None, True}
    text = GOOD.replace("rtt_ms = [40, 80]", "abandon = [false, true]")
    for model, why in (
        ("published", None),
        ("tcp", "link model tcp has chunks whole"),
    ):
        settings = planned(tmp_path, text, True, model).settings
        (said,) = {one.left_out for one in settings if one.thresholds.abandon}
        assert said is None if why is None else said is not None and said.startswith(why)


def test_a_transport_and_a_manager_are_settings_of_emulated_sessions_alone(tmp_path: Path) -> None:
    text = GOOD.replace("rtt_ms = [40, 80]", 'transport = ["h1", "h2"]\naqm = ["fifo", "codel"]')
    usual = {unit.setting.label: unit.setting for unit in planned(tmp_path, text).units}
    plain = usual["usual, aqm fifo, transport h1"]
    assert "transport" not in plain.facts and "aqm" not in plain.facts["link"]
    other = usual["usual, aqm codel, transport h2"]
    assert (other.facts["transport"], other.facts["link"]["aqm"]) == ("h2", "codel")
    left_out = {one.label: one.left_out for one in planned(tmp_path, text, True, "tcp").settings}
    assert left_out["usual, aqm fifo, transport h1"] is None
    assert left_out["usual, aqm codel, transport h1"] == "link model tcp: it knows no aqm"
    assert left_out["usual, aqm fifo, transport h2"] == "link model tcp knows no transport"
    for key, said in (('transport = "h4"', "expected h1, h2, h3"), ('aqm = "blue"', "expected fifo, codel")):
        with pytest.raises(TestbedError, match=said):
            planned(tmp_path, GOOD.replace("rtt_ms = [40, 80]", key))


def test_the_keys_of_a_setting_are_those_of_the_docs() -> None:
    """A key that is checked and never used would be a promise."""
    folder = ROOT / "testbed" / "sweeps" / "experiment"
    source = "".join((folder / f"{name}.py").read_text() for name in ("plan", "grid", "deciders"))
    docs = (ROOT / "docs" / "sweeps.md").read_text()
    planned_by_schema = (*CALL_FIGURES, "media_delay_ms")  # `call_of` and `media_delay_ms` there
    used = {key for key in KEYS if f'"{key}"' in source or key in planned_by_schema}
    assert [key for key in KEYS if key not in used or f"`{key}`" not in docs] == []


def test_delays_of_traces_are_noted_and_losses_refused_where_nobody_can_play_them(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("time_s,mbps,rtt_ms,loss_pct\n0,5,20,0\n30,5,20,0\n60,5,300,0\n")
    text = GOOD.replace('["4g[0:3]"]', '["d.csv"]')
    note = (
        "usual: trace d.csv brings delays of 20 to 300 ms; the round trip is these plus 40 or 80 ms (rtt_ms)"
    )
    assert note in planned(tmp_path, text).notes and note in planned(tmp_path, text, simulated=True).notes
    (tmp_path / "d.csv").write_text("time_s,mbps,loss_pct\n0,5,0\n30,5,1\n")
    assert planned(tmp_path, text).units and planned(tmp_path, text, True, "tcp").units
    with pytest.raises(TestbedError, match=r"sweep.toml:13: .*d.csv: loses up to 1 % of its frames"):
        planned(tmp_path, text, simulated=True)


@pytest.mark.parametrize("traces", ["4g/0", "4g[0:9]"])
def test_more_sessions_than_can_be_laid_out_are_refused_by_their_number(tmp_path: Path, traces: str) -> None:
    """Lists alone may be too many, or lists by the traces that are there."""
    many = range(1, 500 if traces == "4g/0" else 200)
    text = (
        'name = "many"\npolicies = ["bba", "rate"]\n\n[[setting]]\nlabel = "wide"\n'
        f'traces = "{traces}"\nrtt_ms = {[*many]}\nqueue_ms = {[*many]}\nplayers = [1, 2]\n'
    )
    with pytest.raises(TestbedError) as refused:
        planned(tmp_path, text)
    sessions = len(many) ** 2 * 3 * 2 * (1 if traces == "4g/0" else 9)
    assert f"{sessions:,} sessions are asked for, most of them by wide; 1,000,000 are the most" in str(
        refused.value
    )
    assert f"{tmp_path / 'sweep.toml'}:4: " in str(refused.value)


def test_more_variants_of_a_policy_than_anybody_compares_are_refused(tmp_path: Path) -> None:
    many = [*range(1, 1001)]
    text = GOOD.replace("delay_ms = [0, 100]", f"delay_ms = {many}, parameters = {{ window = {many} }}")
    with pytest.raises(
        TestbedError, match="1,000,000 policies of by rate are asked for; 10,000 are the most"
    ):
        planned(tmp_path, text)
