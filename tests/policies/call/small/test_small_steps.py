"""The compiled forward against numpy and torch, the bounds of the rate, and weight files."""

import math

import numpy as np
import pytest
from safetensors.numpy import save

from player.call.feedback_batch import room_for_feedback
from policies.call.small.inputs import INTERVALS, NUMBERS, WIDTH
from policies.call.small.memory import MEMORIES
from policies.call.small.net import PARAMETERS, SHAPES, SmallNet, SmallNetError, packed, read
from policies.call.small.policy import Small
from policies.call.small.steps import begin, log_mbps, new_state, step


def drawn_net(seed, size=0.1):
    random = np.random.default_rng(seed)
    return SmallNet({k: random.normal(0, size, shape).astype(np.float32) for k, shape in SHAPES.items()})


def expected(net, inputs):
    """The same in numpy, float64."""
    t = {name: each.astype(np.float64) for name, each in net.tensors.items()}
    first = np.maximum(inputs @ t["first.weight"] + t["first.bias"], 0)
    second = np.maximum(first @ t["second.weight"] + t["second.bias"], 0)
    return float((second @ t["last.weight"] + t["last.bias"])[0])


@pytest.mark.parametrize("seed", range(4))
def test_the_compiled_net_is_the_net(seed):
    net = drawn_net(seed)
    state = new_state(2, net, 1.0)
    rows = np.random.default_rng(seed + 100).normal(size=(2, INTERVALS, NUMBERS)).astype(np.float32)
    recalled = np.random.default_rng(seed + 200).normal(size=(2, MEMORIES)).astype(np.float32)
    state.rows[:], state.recalled[:] = rows, recalled
    for call in range(2):
        told = np.concatenate([rows[call].ravel(), recalled[call]])
        assert log_mbps(state, call) == pytest.approx(expected(net, told), abs=1e-4)


def test_torch_s_net_is_the_same_net():
    torch = pytest.importorskip("torch")
    from policies.call.small.learn import as_arrays, new_net

    made = new_net(3)
    inputs = np.random.default_rng(1).normal(size=WIDTH).astype(np.float32)
    with torch.no_grad():
        said = made(torch.from_numpy(inputs)[None]).item()
    assert expected(as_arrays(made), inputs) == pytest.approx(said, abs=1e-5)


def test_parameters_are_some_ten_thousand():
    assert PARAMETERS == 172 * 64 + 64 + 64 * 32 + 32 + 32 + 1 == 13185


@pytest.mark.parametrize(
    ("bias", "scale", "kbps"),
    [(0.0, 1.0, 1000.0), (0.0, 0.9, 900.0), (50.0, 1.0, 2500.0), (-50.0, 1.0, 80.0)],
)
def test_the_rate_is_scaled_and_within_bounds(bias, scale, kbps):
    tensors = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    tensors["last.bias"][0] = bias
    state = new_state(1, SmallNet(tensors), scale)
    begin(state, 0, 300.0, 80.0, 2500.0, False)
    feedback = room_for_feedback(1, 1)
    feedback.now_s[0], feedback.target_kbps[0] = 0.05, 300.0
    assert step(state, 0, feedback) == pytest.approx(kbps)


def test_a_file_reads_back(tmp_path):
    net = drawn_net(1)
    (tmp_path / "net.safetensors").write_bytes(packed(net, {"seed": "1"}))
    again = read(tmp_path / "net.safetensors")
    assert all(np.array_equal(again.tensors[name], net.tensors[name]) for name in SHAPES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("last.bias"), "no tensor 'last.bias'"),
        (lambda t: t.update({"last.bias": np.zeros(2, np.float32)}), r"shape \(2,\)"),
        (lambda t: t.update({"last.bias": np.full(1, math.nan, np.float32)}), "no number"),
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path, change, said):
    tensors = dict(drawn_net(1).tensors)
    change(tensors)
    (tmp_path / "bad.safetensors").write_bytes(save(tensors))
    with pytest.raises(SmallNetError, match=said) as refused:
        Small(weights=str(tmp_path / "bad.safetensors"))
    assert "bad.safetensors" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_has_to_be_over_nothing(scale):
    with pytest.raises(ValueError, match="scale"):
        Small(scale=scale)


def test_no_file_is_said(tmp_path):
    with pytest.raises(SmallNetError, match=r"no\.safetensors"):
        Small(weights=str(tmp_path / "no.safetensors"))
