"""A sweep's grid: each combination of listed values, its traces and starts, and the units in their order."""

from __future__ import annotations

import hashlib
import itertools
import math
import random
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from player.buffer import BufferThresholds
from player.call.settings import CallSettings
from player.defaults import PUBLISHED
from player.simulated.link_published import refuse_loss
from player.simulated.session import Link
from player.transport.names import H1
from player.video.built_in import load_video
from player.video.video import Video, VideoError
from testbed.link.settings import LinkSettings, Loss
from testbed.process.errors import TestbedError
from testbed.session.live_plan import LiveAsked
from testbed.session.options import capped
from testbed.simulated.models import MODELS
from testbed.simulated.starts import Start
from testbed.simulating.tasks import CALL as TASK_CALL
from testbed.sweeps.experiment.players import beyond_player
from testbed.sweeps.experiment.schema import (
    KEYS,
    OF_THE_PLAYER,
    SettingEntry,
    SweepFile,
    call_of,
    media_delay_ms,
    shown_value,
)
from testbed.sweeps.experiment.units import SweepPolicy, SweepSetting, SweptTrace, Unit
from traces.families.catalogue import default_video, placed, resolve_many
from traces.formats.reading import AS_A_WORD
from traces.trace import Trace, TraceError

LONGEST_NAME = 170
"""Characters of a unit's name: endings follow, and file systems take 255 bytes."""

Block = tuple[SweepSetting, SweptTrace, Start, int, int, SettingEntry]
"""Setting, trace, start, seed, repetition and the file's entry."""


def blocks_of(
    setting: SweepSetting, entry: SettingEntry, found: Sequence[SweptTrace], simulated: bool
) -> Iterator[Block]:
    """All that every policy meets in a setting."""
    repetitions = 1 if simulated else entry.values["repetitions"][0]
    for swept in found:
        for start in _starts(entry.values["start_s"], swept.trace):
            for seed in entry.values["seeds"]:
                for repetition in range(repetitions):
                    yield setting, swept, start, seed, repetition, entry


def traces_in(file: SweepFile, entry: SettingEntry, link_model: str | None) -> list[SweptTrace]:
    """A setting's traces, which the link model can play (None: they are emulated)."""
    found: list[SweptTrace] = []
    for typed in entry.traces:
        spec = typed
        try:
            spec = placed(typed, file.path.parent)
            traces = [capped(trace, entry.values["cap_mbps"][0]) for trace in resolve_many(spec)]
            if link_model == PUBLISHED:
                for trace in traces:
                    refuse_loss(trace)
        except (TraceError, TestbedError, OSError) as error:
            fault = str(error).replace(AS_A_WORD, "convert it first by `python -m traces convert` with --")
            raise file.fault(entry.where["traces"], fault, typed) from None
        found += [SweptTrace(spec, trace) for trace in traces]
    names = Counter(swept.trace.name for swept in found)
    for swept in found:
        if names[swept.trace.name] > 1:
            raise file.fault(
                entry.where["traces"], f"trace {swept.trace.name} is named twice; once will do", swept.spec
            )
    return found


def grid(entry: SettingEntry, link_model: str | None, calls: bool = False) -> Iterator[SweepSetting]:
    """Each combination of a setting's listed values; `calls`: a call is made at each."""
    several = [key for key, facts in KEYS.items() if facts.labelled and len(entry.values[key]) > 1]
    for values in itertools.product(*(entry.values[key] for key in several)):
        chosen = {key: value[0] for key, value in entry.values.items()} | dict(
            zip(several, values, strict=True)
        )
        words = ", ".join(f"{key} {shown_value(chosen[key])}" for key in several)
        link = _link(chosen)
        yield SweepSetting(
            label=f"{entry.label}, {words}" if words else entry.label,
            group=entry.label,
            seen=entry.seen,
            stress=entry.stress,
            link=link,
            video=chosen["video"],
            chunks=chosen["chunks"],
            cap_mbps=chosen["cap_mbps"],
            players=chosen["players"],
            stagger_s=chosen["stagger_s"],
            left_out=beyond_player(chosen, link_model is not None)
            or _beyond(link_model, link, chosen, calls),
            beside=chosen["beside"],
            cross=chosen["cross"],
            thresholds=BufferThresholds(*(chosen[name] for name in OF_THE_PLAYER)),
            transport=chosen["transport"],
            call=call_of(chosen) if calls else None,
            client=chosen["player"],
            live=LiveAsked(chosen["latency_s"], chosen["part_s"]) if chosen["live"] else None,
            axis={key: chosen[key] for key in entry.axes},
        )


def _link(chosen: Mapping[str, Any]) -> LinkSettings:
    """The link at a point of a setting."""
    return LinkSettings(
        rtt_ms=chosen["rtt_ms"],
        jitter_ms=chosen["jitter_ms"],
        loss=Loss("uniform", chosen["loss_pct"]) if chosen["loss_pct"] else Loss(),
        queue_ms=chosen["queue_ms"],
        queue_bytes=chosen["queue_bytes"],
        congestion_control=chosen["cc"],
        aqm=chosen["aqm"],
        slow_start_after_idle=chosen["slow_start_after_idle"],
        media_delay_ms=media_delay_ms(chosen),
        media_jitter_ms=chosen["media_jitter_ms"],
        grant_ms=chosen["grant_ms"],
    )


def simulated_link(model: str, setting: SweepSetting) -> Link:
    """A setting's link by a model that can do it."""
    return MODELS[model].link(setting.link)


def _beyond(model: str | None, link: LinkSettings, chosen: Mapping[str, Any], calls: bool) -> str | None:
    """What of a setting a link model does not know; None if it can do all of it, or there is none."""
    if model is None:
        return None
    if chosen["players"] > 1 or chosen["beside"] or chosen["cross"]:
        return "simulated players do not share a bottleneck"
    if chosen["abandon"] and model != PUBLISHED:
        return f"link model {model} has chunks whole, so that no request can be given up"
    if calls:
        return None
    if chosen["live"]:
        return "live streams are emulated only"
    if chosen["transport"] != H1:
        return f"link model {model} knows no transport"
    beyond = MODELS[model].beyond(link)
    return None if beyond is None else f"link model {model}: {beyond}"


def _starts(starts_s: Sequence[float], trace: Trace) -> list[Start]:
    """Where sessions begin: at the trace's point at or before each time, wrapped."""
    found = [bisect_right(trace.time_s, start_s % trace.duration_s) for start_s in starts_s]
    return [Start(trace, index) for index in dict.fromkeys(found)]


def units_of(
    file: SweepFile,
    blocks: Sequence[tuple[SweepSetting, SweptTrace, Start, int, int, SettingEntry]],
    policies: Sequence[SweepPolicy],
    untold: Container[tuple[str, str]],
) -> Iterator[Unit]:
    """All units in the order in which they are to run, without those of `untold` (policy, setting)."""
    draw = random.Random(file.order_seed)
    order = list(blocks)
    draw.shuffle(order)
    names: set[str] = set()
    for number, (setting, swept, start, seed, repetition, entry) in enumerate(order):
        video_spec, whole, chunks = _played(file, entry, setting, swept)
        for policy in draw.sample(policies, len(policies)):
            if (policy.label, setting.label) in untold:
                continue
            policy_word = re.sub(
                r"^[^:]*/(?=[^/:]+\.py(:|$))", "", policy.label
            )  # a file without its folders
            words = (setting.label, swept.trace.name, f"s{start.at_s:g}", policy_word)
            name = _name((*words, f"seed{seed}", f"r{repetition}"))
            if name in names or len(name) > LONGEST_NAME:
                whole_words = (*words, policy.label, str(seed), str(repetition))
                digest = hashlib.sha256("\n".join(whole_words).encode()).hexdigest()
                name = f"{name[:LONGEST_NAME]}-{digest[:8]}"
            names.add(name)
            yield Unit(
                name=name,
                setting=setting,
                policy=policy,
                swept=swept,
                start=start,
                video_spec=video_spec,
                whole=whole,
                chunks=chunks,
                seed=seed,
                repetition=repetition,
                block=number,
            )


def _played(
    file: SweepFile, entry: SettingEntry, setting: SweepSetting, swept: SweptTrace
) -> tuple[str, Video, int]:
    """What is played, in a word and whole, and how many of its chunks."""
    if setting.call is not None:
        whole = seconds_of(setting.call)
        return whole.name, whole, whole.chunks
    spec = setting.video or default_video(swept.trace.family)
    whole, chunks = _video(file, entry, spec, setting.chunks)
    _check_cap(file, entry, setting, whole)
    _check_live(file, entry, setting, whole)
    return spec, whole, chunks


@cache
def seconds_of(call: CallSettings) -> Video:
    """A call as what a sweep counts: its seconds are chunks, at the encoder's highest rate."""
    kbps = round(call.max_kbps)
    return Video(TASK_CALL, 1.0, (kbps,), ((kbps * 125,),) * math.ceil(call.duration_s))


def _name(words: Sequence[str]) -> str:
    """A file's name that says what is in it."""
    return "_".join(re.sub(r"[^A-Za-z0-9.=+-]+", "-", word).strip("-.") for word in words)


def _video(file: SweepFile, entry: SettingEntry, spec: str, chunks: int) -> tuple[Video, int]:
    """The whole video, and how many of its chunks are streamed."""
    place = entry.where["video"]
    try:
        whole = _whole(spec)
        file.scoring.on(whole.ladder_kbps)
    except VideoError as error:
        raise file.fault(place, str(error), spec) from None
    except ValueError as error:
        raise file.fault(("qoe", "kind"), f"{error} (video {spec})") from None
    if chunks > whole.chunks and chunks != KEYS["chunks"].default:
        raise file.fault(
            entry.where["chunks"],
            f"chunks is {chunks}; video {spec} has {whole.chunks}; give at most that",
        )
    return whole, min(chunks, whole.chunks)


def _check_cap(file: SweepFile, entry: SettingEntry, setting: SweepSetting, video: Video) -> None:
    """Raises TestbedError for a buffer that is not to hold a chunk."""
    try:
        setting.thresholds.check_holds(video.chunk_s)
    except ValueError as error:
        raise file.fault(entry.where["buffer_cap_s"], str(error)) from None


def _check_live(file: SweepFile, entry: SettingEntry, setting: SweepSetting, video: Video) -> None:
    """Raises TestbedError for a latency or parts that a live stream of this video can't have."""
    if setting.live is None:
        return
    try:
        setting.live.of(video.chunk_s)
    except ValueError as error:
        name = "part_s" if str(error).startswith("part_s") else "latency_s"
        raise file.fault(entry.where[name], str(error), name) from None


@cache
def _whole(spec: str) -> Video:
    return load_video(spec)
