"""How far a packaged level is from its source, chunk by chunk: SSIM, or VMAF where ffmpeg has it."""

from __future__ import annotations

import itertools
import math
import re
import tempfile
from pathlib import Path

from player.video.media.encode import FFMPEG, MediaError, run, tool
from player.video.quality import write_quality
from player.video.video import Video
from traces.files import write_aside

METRICS = ("ssim", "vmaf")
_SSIM = re.compile(r"\bAll:([0-9.]+)")
_VMAF = re.compile(r'"vmaf":\s*([0-9.]+)')


def write_qualities(folder: Path, source: Path, video: Video, metric: str) -> None:
    """Write `quality.csv` into a packaged video's folder.

    Args:
        source: the file that it was made of.
        metric: one of METRICS, a mean over the pictures of a chunk, at the source's size.

    Raises:
        MediaError: ffmpeg fails, or has no VMAF.
    """
    if metric == "vmaf" and "libvmaf" not in run(FFMPEG, ["-filters"]):
        raise MediaError(f"{tool(FFMPEG)} has no libvmaf; take --quality ssim, or another ffmpeg")
    levels = [_level(folder / str(level), source, video, metric) for level in range(video.levels)]
    write_aside(folder / "quality.csv", write_quality(tuple(zip(*levels, strict=True))))


def _level(place: Path, source: Path, video: Video, metric: str) -> tuple[float, ...]:
    """[chunk] of one level."""
    with tempfile.TemporaryDirectory(prefix="streambed-measure-") as made:
        whole, told = Path(made) / "level.mp4", Path(made) / "told"
        parts = ["init.mp4", *(f"{chunk}.m4s" for chunk in range(video.chunks))]
        whole.write_bytes(b"".join((place / part).read_bytes() for part in parts))
        measure = f"ssim=stats_file={told}" if metric == "ssim" else f"libvmaf=log_fmt=json:log_path={told}"
        graph = (
            f"[0:v]setpts=PTS-STARTPTS[a];[1:v]setpts=PTS-STARTPTS[b];[a][b]scale2ref[c][d];[c][d]{measure}"
        )
        length = repr(video.duration_s)
        words = ["-i", str(whole), "-t", length, "-i", str(source), "-lavfi", graph, "-f", "null", "-"]
        run(FFMPEG, words)
        found = [float(word) for word in (_SSIM if metric == "ssim" else _VMAF).findall(told.read_text())]
    if len(found) < video.chunks:
        raise MediaError(f"{place}: {metric} of {len(found)} pictures; {video.chunks} chunks have more")
    bounds = [round(len(found) * chunk / video.chunks) for chunk in range(video.chunks + 1)]
    return tuple(math.fsum(found[begin:end]) / (end - begin) for begin, end in itertools.pairwise(bounds))
