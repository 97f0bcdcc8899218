"""The chain from an observation to logits, on tiny models with random weights: encoder, backbone, engine."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from policies.llm.engine.contract import EngineFull
from policies.llm.engine.engine import Engine
from policies.llm.modality import GRAPH, OPTIONS, SCALAR, SERIES, Modality, width
from policies.llm.model import adapter, backbone
from policies.llm.model.base import Base, BaseError, resolve
from policies.llm.model.encoder import Encoder
from policies.llm.model.model import Model
from policies.llm.model.shape import ALL, ATTENTION
from policies.llm.model.tiny import CONFIGS, save, tiny_adapter, tiny_base, tiny_model
from policies.llm.tasks.ladder.task import MODALITIES, TASK

CLOSE = 1e-4
BFLOAT16 = 2.0**-8
"""Relative distance of neighbouring numbers."""
BFLOAT16_ROUNDINGS = 16
"""Of a logit on its way through two layers, of the relative size `BFLOAT16`, at worst; 9 were seen."""


def steps(sessions: int, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((sessions, count, TASK.width)).astype(np.float32)


def one_pass(folder: Path, vectors: np.ndarray) -> np.ndarray:
    """(sessions, steps, levels) of the training forward."""
    held = adapter.read(folder, TASK)
    model = Model(held.base(), held.shape, held.modalities, held.head)
    model.load_learned(held.tensors())
    with torch.inference_mode():
        return model.eval()(torch.from_numpy(vectors)).numpy()


# ---- modalities and the encoder ----------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 3])
def test_another_tasks_modalities_need_no_other_encoder(tokens: int) -> None:
    task = [
        Modality("jobs", OPTIONS, (5, 4)),
        Modality("load", SERIES, (2, 12)),
        Modality("clock", SCALAR, (3,)),
    ]
    encoder = Encoder(task, 32, tokens, 8, gain=0.1)
    inputs = torch.randn(7, width(task))
    inputs[:, -1] = 3.0
    encoder.scale_to(inputs)
    out = encoder(inputs)
    assert out.shape == (7, tokens, 32)
    assert out.pow(2).mean().sqrt().item() == pytest.approx(0.1, rel=0.01)
    for place in range(width(task) - 1):
        other = inputs.clone()
        other[:, place] += 1.0
        assert not torch.equal(encoder(other), out), place
    assert encoder.mean[-1] == 0.0  # an input that never changes is left as it is


@pytest.mark.parametrize(
    ("kind", "shape", "fault"),
    [
        ("sound", (2, 2), "sound"),
        (GRAPH, (2, 2), "a node has"),
        (SERIES, (3,), "dimensions"),
        (SCALAR, (0,), "1 or more"),
    ],
)
def test_what_is_no_modality_is_refused(kind: str, shape: tuple[int, ...], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Modality("x", kind, shape)


def test_tokens_are_one_or_one_for_each_modality() -> None:
    with pytest.raises(ValueError, match="take 1, or 5"):
        Encoder(MODALITIES, 32, 3, 8)


# ---- the language model ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "attention", "everything"),
    [
        ("llama", {"q_proj", "v_proj"}, 7),
        ("qwen2", {"q_proj", "v_proj"}, 7),
        ("gpt2", {"c_attn"}, 4),
    ],
)
def test_lora_goes_to_the_right_projections_of_each_architecture(
    tmp_path: Path, kind: str, attention: set[str], everything: int
) -> None:
    model = backbone.load(resolve(str(tiny_base(tmp_path, kind))), 2)
    found = backbone.lora_targets(model, ATTENTION)
    assert {name.split(".")[-1] for name in found} == attention
    assert len(found) == 2 * len(attention)
    assert len(backbone.lora_targets(model, ALL)) == 2 * everything
    backbone.add_lora(model, 4, 8.0, found)
    learned = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert len(learned) == 2 * len(found)
    assert all("lora_" in name for name in learned)


def test_fewer_layers_are_the_first_ones(tmp_path: Path) -> None:
    base = resolve(str(tiny_base(tmp_path)))
    whole, cut = backbone.load(base, None).state_dict(), backbone.load(base, 2).state_dict()
    assert {backbone.layer_of(name) for name in cut} == {None, 0, 1}
    assert all(torch.equal(cut[name], whole[name]) for name in cut if "embed" not in name)
    assert any("layers.2." in name for name in whole)
    with pytest.raises(BaseError, match="3 layers, not 4"):
        backbone.load(base, 4)


def test_layers_that_are_left_out_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = resolve(str(tiny_base(tmp_path)))
    read: list[str] = []

    class Noted:
        def __init__(self, *args: object, **words: object) -> None:
            self.held = safetensors.safe_open(*args, **words)

        def __enter__(self) -> Noted:
            self.opened = self.held.__enter__()
            return self

        def __exit__(self, *fault: object) -> None:
            self.held.__exit__(*fault)

        def keys(self) -> list[str]:
            return list(self.opened.keys())

        def get_tensor(self, name: str) -> torch.Tensor:
            read.append(name)
            return self.opened.get_tensor(name)

    monkeypatch.setattr(backbone, "safe_open", Noted)
    held = backbone.tensors(base, 2)
    assert {backbone.layer_of(name) for name in read} == {None, 0, 1}
    assert len(read) == len(held) and not any("embed" in name for name in read)


def test_random_weights_depend_on_the_seed_alone(tmp_path: Path) -> None:
    folder = tiny_base(tmp_path)
    first, again, other = (resolve(f"random:{seed}:{folder}") for seed in (1, 1, 2))
    assert first.sha256 == again.sha256 != other.sha256
    weights = [
        backbone.load(base, 2).state_dict()["layers.1.mlp.up_proj.weight"] for base in (first, again, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("nonsense", "no such directory"),
        ("scratch:2x100:1", "multiple of 64"),
        ("random:1:scratch:2x64:1", "random"),
    ],
)
def test_a_base_that_is_not_there_is_refused_by_name(name: str, fault: str) -> None:
    with pytest.raises(BaseError, match=fault) as caught:
        resolve(name)
    assert name in str(caught.value)


# ---- the engine ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(kind, {}) for kind in CONFIGS]
    + [
        ("llama", {"tokens": 5}),
        ("llama", {"targets": ALL}),
        ("gpt2", {"tokens": 5}),
        ("qwen2", {"train": "full"}),
        ("llama", {"prompt": "next level"}),
        ("gpt2", {"prompt": "stall", "tokens": 5}),
    ],
    ids=str,
)
def test_the_engine_decides_as_the_training_forward(tmp_path: Path, kind: str, shape: dict) -> None:
    folder = tiny_adapter(TASK, tmp_path, kind, **shape)
    vectors = steps(3, 12)
    expected = one_pass(folder, vectors)
    engine = Engine(TASK, folder, slots=4, device="cpu", dtype="float32")
    engine.open()
    slots = [engine.open() for _ in range(3)]
    # of different lengths, all at once
    first = engine.forward([(slot, vectors[at, : 3 * at + 1]) for at, slot in enumerate(slots)])
    lengths = [3 * at + 1 for at in range(3)]
    assert np.allclose(first, expected[range(3), np.array(lengths) - 1], atol=CLOSE)
    # step by step, in changing company, some alone
    for turn in range(5):
        who = [at for at in (2, 0, 1) if (turn + at) % 3]
        got = engine.forward([(slots[at], vectors[at, lengths[at] : lengths[at] + 1]) for at in who])
        assert np.allclose(got, [expected[at, lengths[at]] for at in who], atol=CLOSE)
        for at in who:
            lengths[at] += 1
    assert [engine.length(slot) for slot in slots] == lengths
    # anew from nothing
    again = engine.recompute([(slots[0], vectors[0, lengths[0] : lengths[0] + 1])])
    assert np.allclose(again[0], expected[0, lengths[0]], atol=CLOSE)
    # a slot that is used again remembers nothing
    engine.close(slots[1])
    slot = engine.open()
    assert slot == slots[1]
    assert np.allclose(engine.forward([(slot, vectors[2, :2])])[0], expected[2, 1], atol=CLOSE)


def test_in_bfloat16_another_level_is_taken_only_where_two_are_close(tmp_path: Path) -> None:
    folder, vectors = tiny_adapter(TASK, tmp_path), steps(16, 48)
    expected = one_pass(folder, vectors)
    engine = Engine(TASK, folder, slots=16, device="cpu", dtype="bfloat16")
    slots = [engine.open() for _ in range(16)]
    got = np.stack(
        [
            engine.forward([(slot, vectors[at, step : step + 1]) for at, slot in enumerate(slots)])
            for step in range(48)
        ],
        axis=1,
    )
    assert np.abs(got - expected).max() > CLOSE  # it is another format
    taken = got.argmax(-1)
    behind = expected.max(-1) - np.take_along_axis(expected, taken[..., None], -1)[..., 0]
    assert (behind <= BFLOAT16_ROUNDINGS * BFLOAT16 * np.abs(expected).max(-1)).all()
    assert 0 < (behind > 0).sum() < 0.05 * behind.size


def test_new_and_random_bases_serve_too(tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / "base")
    for number, (name, train) in enumerate([("scratch:2x64:7", "full"), (f"random:3:{folder}", "lora")]):
        torch.manual_seed(0)
        base = resolve(name)
        shape = adapter.Shape(base=name, layers=2, train=train, rank=4, hidden=16)
        model = Model(base, shape, TASK.modalities, TASK.head).eval()
        torch.nn.init.normal_(model.head.query.weight, std=0.3)
        save(TASK, model, tmp_path / str(number))
        vectors = steps(1, 5)
        engine = Engine(TASK, tmp_path / str(number), slots=1, device="cpu", dtype="float32")
        got = engine.forward([(engine.open(), vectors[0])])
        assert np.allclose(got[0], one_pass(tmp_path / str(number), vectors)[0, -1], atol=CLOSE)


def test_a_full_context_begins_anew_the_same_whether_steps_come_one_by_one_or_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_adapter(TASK, tmp_path)
    engine = Engine(TASK, folder, slots=3, max_steps=40, device="cpu", dtype="float32")
    assert [engine.context(count) for count in (1, 40, 41, 48, 49, 57)] == [0, 0, 8, 8, 16, 24]
    vectors = steps(1, 60)[0]
    computed: list[int] = []
    forward = engine._runner.forward

    def counted(slots: list[int], held: list[int], tokens: list[torch.Tensor]) -> torch.Tensor:
        computed.append(len(tokens[0]))
        return forward(slots, held, tokens)

    monkeypatch.setattr(engine._runner, "forward", counted)
    one = engine.open()
    for count in range(1, 61):
        priced = engine.rows(one, 1)
        alone = engine.forward([(one, vectors[count - 1 : count])])[0]
        assert computed[-1] == priced
        if count in (39, 40, 41, 48, 49, 60):
            at_once = engine.open()
            assert engine.rows(at_once, count) == count - engine.context(count)
            assert np.allclose(engine.forward([(at_once, vectors[:count])])[0], alone, atol=CLOSE)
            engine.close(at_once)
            seen = one_pass(folder, vectors[None, engine.context(count) : count])[0, -1]
            assert np.allclose(alone, seen, atol=CLOSE)
    assert engine.length(one) == 60 and max(computed) == 40


def test_a_task_prompt_stands_before_every_context_also_one_begun_anew(tmp_path: Path) -> None:
    folder = tiny_adapter(TASK, tmp_path, prompt="next level stall")
    engine = Engine(TASK, folder, slots=2, max_steps=40, device="cpu", dtype="float32")
    vectors = steps(1, 45)[0]
    engine.open()
    slot = engine.open()
    for count in range(1, 46):
        got = engine.forward([(slot, vectors[count - 1 : count])])[0]
    seen = vectors[None, engine.context(45) : 45]
    assert engine.context(45) == 8
    assert np.allclose(got, one_pass(folder, seen)[0, -1], atol=CLOSE)
    other = tiny_adapter(TASK, tmp_path / "other", prompt="stall stall stall")
    assert not np.allclose(one_pass(other, seen)[0, -1], got, atol=CLOSE)


@pytest.mark.parametrize("name", ["scratch:2x64:7", "random:3:{}"])
def test_a_base_without_words_takes_no_task_prompt(tmp_path: Path, name: str) -> None:
    base = resolve(name.format(tiny_base(tmp_path / "base")))
    with pytest.raises(BaseError, match="leave out the task prompt"):
        Model(base, adapter.Shape(base=base.name, layers=2, prompt="level"), TASK.modalities, TASK.head)


def test_an_engine_refuses_what_it_cannot_do_and_stays_as_it_is(tmp_path: Path) -> None:
    engine = Engine(TASK, tiny_adapter(TASK, tmp_path), slots=1, device="cpu")
    slot = engine.open()
    with pytest.raises(EngineFull):
        engine.open()
    vectors = steps(1, 3)[0]
    before = engine.forward([(slot, vectors[:2])])
    for work in ([(slot, vectors[:0])], [(slot, vectors[:, :-1])], [(slot, vectors), (slot, vectors)]):
        with pytest.raises(ValueError):
            engine.forward(work)
    with pytest.raises(KeyError):
        engine.forward([(slot + 1, vectors)])
    assert engine.length(slot) == 2
    engine.close(slot)
    slot = engine.open()
    assert engine.length(slot) == 0
    assert np.allclose(engine.forward([(slot, vectors[:2])]), before, atol=1e-6)
    with pytest.raises(ValueError, match="device"):
        Engine(TASK, tmp_path / "adapter", device="tpu")


# ---- the adapter's file -------------------------------------------------------------------------


def changed(folder: Path, **values: object) -> Path:
    path = folder / adapter.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


def test_other_weights_under_the_same_name_are_refused(tmp_path: Path) -> None:
    folder = tiny_adapter(TASK, tmp_path)
    tiny_base(tmp_path / "base", seed=5)
    with pytest.raises(adapter.AdapterError, match=r"made for .*base with weights .* but those") as caught:
        Engine(TASK, folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layers", [1, 3, 5])
def test_another_number_of_layers_is_refused(tmp_path: Path, layers: int) -> None:
    folder = tiny_adapter(TASK, tmp_path)
    shape = json.loads((folder / adapter.CONFIG).read_text())["shape"]
    with pytest.raises(adapter.AdapterError, match=f"says {layers} layers, but holds matrices of 2"):
        Engine(TASK, changed(folder, shape=shape | {"layers": layers}))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize(
    ("name", "size", "fault"),
    [
        ("head.query.weight", None, r"head\.query\.weight is None, not \(64, 32\)"),
        ("head.query.bias", (5,), r"head\.query\.bias is \(5,\), not \(64,\)"),
        ("encoder.norms.0.weight", (31,), r"encoder\.norms\.0\.weight is"),
        ("lora.*.B", None, r"without lora\..*\.B"),
        ("lora.*.A", (5, 32), "not of rank 4"),
        ("lora.*.A", (4, 31), "31"),
    ],
    ids=str,
)
def test_tensors_that_are_missing_or_of_other_sizes_are_refused_by_name(
    tmp_path: Path, kind: str, name: str, size: tuple[int, ...] | None, fault: str
) -> None:
    folder = tiny_adapter(TASK, tmp_path, kind)
    path = folder / adapter.TENSORS
    tensors = safetensors.torch.load_file(path)
    named = next(each for each in sorted(tensors) if fnmatch(each, name))
    if size is None:
        del tensors[named]
    else:
        tensors[named] = torch.zeros(size, dtype=torch.float16)
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(adapter.AdapterError, match=fault) as caught:
        Engine(TASK, folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_the_folder_that_adapt_wrote_to_is_an_adapter_too(tmp_path: Path) -> None:
    made = tiny_adapter(TASK, tmp_path)
    (tmp_path / "run").mkdir()
    made.rename(tmp_path / "run" / adapter.BEST)
    held = [adapter.read(folder, TASK) for folder in (tmp_path / "run", tmp_path / "run" / adapter.BEST)]
    assert held[0] == held[1] and held[0].tensors()
    (held[0].folder / adapter.TENSORS).unlink()
    with pytest.raises(adapter.AdapterError, match=r"run/best/adapter\.safetensors: No such file"):
        adapter.read(tmp_path / "run", TASK)


def test_an_adapter_for_more_layers_than_the_base_has_is_refused(tmp_path: Path) -> None:
    model = tiny_model(TASK, tiny_base(tmp_path / "base"), train="frozen")
    save(TASK, model, tmp_path / "adapter")
    shape = json.loads((tmp_path / "adapter" / adapter.CONFIG).read_text())["shape"]
    with pytest.raises(adapter.AdapterError, match=r"made for 9 layers, but .* has 3"):
        Engine(TASK, changed(tmp_path / "adapter", shape=shape | {"layers": 9}))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"format": 99}, "no adapter of format 1"),
        ({"task": "cc"}, "made for the task cc, not for ladder"),
        (
            {"modalities": [{"name": "clock", "kind": "scalar", "shape": [3]}]},
            "made for the modalities clock",
        ),
        ({"shape": {}}, "it lacks 'base'"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_task_is_refused_by_name(tmp_path: Path, change: dict, fault: str) -> None:
    folder = changed(tiny_adapter(TASK, tmp_path), **change)
    with pytest.raises(adapter.AdapterError, match=fault) as caught:
        adapter.read(folder, TASK)
    assert str(folder) in str(caught.value)


def test_a_folder_without_an_adapter_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(adapter.AdapterError, match=r"adapter\.json: No such file.*policies\.llm adapt"):
        Engine(TASK, tmp_path)


# ---- bases that can't be adapted, and folders that are no adapter ---------------------------------


def a_base_that_says(folder: Path, **config: object) -> str:
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.torch.save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
    return str(folder)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, r"bert \(BertForMaskedLM\) is bidir"),
        ({"model_type": "roberta"}, "roberta is bidirectional: its tokens look ahead"),
        ({"model_type": "modernbert", "architectures": ["ModernBertModel"]}, "bidirectional"),
        ({"model_type": "deberta-v2"}, "bidirectional"),
        ({"model_type": "new", "architectures": ["NewForMaskedLM"]}, "bidirectional"),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, "bidirectional"),
        ({"model_type": "t5", "is_encoder_decoder": True}, "t5 is an encoder-decoder"),
        ({"model_type": "umt5", "architectures": ["UMT5EncoderModel"]}, "umt5 .* is an encoder-decoder"),
        ({"model_type": "bart", "is_encoder_decoder": True}, "bart is an encoder-decoder"),
        ({"model_type": "odd", "is_encoder_decoder": True}, "odd is an encoder-decoder"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "random:1:"])
def test_a_base_that_looks_ahead_is_refused_by_name(
    tmp_path: Path, config: dict[str, object], words: str, prefix: str
) -> None:
    with pytest.raises(BaseError, match=words) as refused:
        resolve(f"{prefix}{a_base_that_says(tmp_path, **config)}")
    assert str(tmp_path) in str(refused.value) and "causal" in str(refused.value)


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "bert", "is_decoder": True, "architectures": ["BertLMHeadModel"]},
        {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
        {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]},
        {"model_type": "ernie4_5", "architectures": ["Ernie4_5ForCausalLM"]},
        {"model_type": "modernbert-decoder", "architectures": ["ModernBertDecoderForCausalLM"]},
        {"model_type": "modernbert-decoder"},
        {"model_type": "new_kind"},
    ],
)
def test_a_base_that_looks_back_only_is_taken(tmp_path: Path, config: dict[str, object]) -> None:
    assert resolve(a_base_that_says(tmp_path, **config)).folder == tmp_path


def test_a_base_that_looks_ahead_unsaid_is_found_out_when_it_is_loaded(tmp_path: Path) -> None:
    module = backbone.transformers()
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    module.BertModel(module.BertConfig(**small, vocab_size=8)).save_pretrained(tmp_path)
    with pytest.raises(BaseError, match="bert is bidirectional"):
        backbone.load(Base("hidden", "", tmp_path), None)


def test_what_is_taken_for_an_adapter_is_told_what_it_is(tmp_path: Path) -> None:
    peft = tmp_path / "peft"
    peft.mkdir()
    (peft / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base", "peft_type": "LORA"}')
    with pytest.raises(adapter.AdapterError, match="matrices of peft for some/base") as refused:
        adapter.read(peft, TASK)
    assert "merge_and_unload" in str(refused.value) and "adapt --base DIR" in str(refused.value)
    (peft / "adapter_config.json").write_text("[")
    with pytest.raises(adapter.AdapterError, match="peft for a base that they don't name"):
        adapter.read(peft, TASK)
    whole = tiny_base(tmp_path / "whole")
    with pytest.raises(adapter.AdapterError, match="a whole language model, and no adapter; adapt it"):
        adapter.read(whole, TASK)
    with pytest.raises(adapter.AdapterError, match="a file; name the folder"):
        adapter.read(whole / "config.json", TASK)
