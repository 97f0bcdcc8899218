"""Package a person's own video: segments, an MPD and exact sizes, from one file or from encodes of it.

One file is encoded by ffmpeg, once for each bitrate of a ladder, with a key frame at each chunk's beginning.
Several files are taken as they are, a level each: their key frames have to stand at chunks' beginnings.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from player.video.media.boxes import BoxError, boxes, codec_of, time_of, timescale_of
from player.video.media.encode import FFMPEG, FFPROBE, MediaError, run
from player.video.media.filled import SEGMENT_TYPE
from player.video.mpd_write import write_mpd
from player.video.pictures import Pictures, pictures_of
from player.video.video import Video, plain_name
from traces.files import write_aside
from traces.ownership import make_directory

LONGEST_MEDIA_CHUNKS = 10_000
HEIGHTS = ((400, 240), (900, 360), (1500, 480), (2300, 720), (4500, 1080), (12_000, 1440), (math.inf, 2160))
"""Up to so many kbit/s, pictures of so many rows; never more than the source has."""
PEAK, BUFFER = 1.2, 2.0
"""Of the bitrate: what the encoder may reach for a moment, and its buffer in seconds."""
LATE_SHARE = 0.05
"""Of a chunk, by which its first picture may stand off its place: frames do not always fit."""
_FRAGMENTED = ("-movflags", "empty_moov+default_base_moof+frag_keyframe", "-f", "mp4")


@dataclass(frozen=True)
class Source:
    """What ffprobe says of a file's video."""

    file: Path
    duration_s: float
    width: int
    height: int

    @classmethod
    def of(cls, file: Path) -> Source:
        """Ask ffprobe.

        Raises:
            MediaError: no such file, or no video in it.
        """
        if not file.is_file():
            raise MediaError(f"{file}: no such file")
        shown = "format=duration:stream=width,height"
        told = run(
            FFPROBE, ["-select_streams", "v:0", "-show_entries", shown, "-of", "default=nw=1", str(file)]
        )
        facts = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
        try:
            duration_s, width, height = float(facts["duration"]), int(facts["width"]), int(facts["height"])
        except (KeyError, ValueError):
            raise MediaError(f"{file}: ffprobe finds no video of known length in it") from None
        return cls(file, duration_s, width, height)

    def chunks(self, chunk_s: float) -> int:
        """Whole chunks of it.

        Raises:
            MediaError: none, or too many.
        """
        count = int(self.duration_s / chunk_s + LATE_SHARE)
        if count < 1:
            raise MediaError(
                f"{self.file}: {self.duration_s:.3f} s are no chunk of {chunk_s:g} s; give --chunk-s"
            )
        if count > LONGEST_MEDIA_CHUNKS:
            raise MediaError(f"{self.file}: {count} chunks; {LONGEST_MEDIA_CHUNKS} are the limit")
        return count


@dataclass(frozen=True)
class Packaged:
    """A level, cut."""

    init: bytes
    segments: tuple[bytes, ...]
    pictures: Pictures

    @property
    def size_bytes(self) -> int:
        """Of all its segments."""
        return sum(map(len, self.segments))


def ladder_heights(ladder_kbps: Sequence[int], source: Source) -> list[int]:
    """Rows of each level's pictures, even numbers."""
    wanted = [next(rows for most, rows in HEIGHTS if kbps <= most) for kbps in ladder_kbps]
    return [min(rows, source.height) // 2 * 2 for rows in wanted]


def encode_level(source: Source, kbps: int, height: int, chunk_s: float, chunks: int) -> Packaged:
    """One level of a file.

    Raises:
        MediaError: ffmpeg fails.
    """
    rate = [
        *("-b:v", f"{kbps}k", "-maxrate", f"{round(PEAK * kbps)}k", "-bufsize", f"{round(BUFFER * kbps)}k"),
        *("-vf", f"scale=-2:{height}", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "medium"),
        *("-sc_threshold", "0", "-bf", "0", "-force_key_frames", f"expr:gte(t,n_forced*{chunk_s!r})"),
        *("-g", "100000", "-t", repr(chunks * chunk_s)),
    ]
    return _cut(source.file, rate, chunk_s, chunks)


def take_level(source: Source, chunk_s: float, chunks: int) -> Packaged:
    """A level that is encoded already.

    Raises:
        MediaError: it is no H.264, or its key frames are not at chunks' beginnings.
    """
    return _cut(source.file, ["-c:v", "copy", "-t", repr(chunks * chunk_s)], chunk_s, chunks)


def _cut(file: Path, how: Sequence[str], chunk_s: float, chunks: int) -> Packaged:
    with tempfile.TemporaryDirectory(prefix="streambed-make-") as folder:
        made = Path(folder) / "level.mp4"
        run(FFMPEG, ["-i", str(file), "-map", "0:v:0", "-an", *how, *_FRAGMENTED, str(made)])
        data, shown = made.read_bytes(), _shown(made)
    try:
        init, segments = _segments(data, chunk_s, chunks)
        return Packaged(init, segments, shown)
    except BoxError as error:
        raise MediaError(f"{file}: {error}; let it be encoded, or encode it with key frames there") from None


def _shown(file: Path) -> Pictures:
    """What ffprobe says of a file's pictures.

    Raises:
        MediaError: it says nothing.
    """
    names = "stream=width,height,avg_frame_rate"
    told = run(FFPROBE, ["-select_streams", "v:0", "-show_entries", names, "-of", "csv=p=0", str(file)])
    width, height, rate = [*told.strip().split(","), "", "", ""][:3]
    try:
        return pictures_of(f"{width}x{height}@{rate}")
    except ValueError as error:
        raise MediaError(f"{file}: ffprobe: {error}") from None


def _segments(data: bytes, chunk_s: float, chunks: int) -> tuple[bytes, tuple[bytes, ...]]:
    """Initialization segment, and fragments gathered into segments: all that begin in a chunk are its own.

    Raises:
        BoxError: a chunk without a fragment at its beginning.
    """
    init, gathered = b"", [b""] * chunks
    for kind, part in _parts(data):
        if kind == b"init":
            init += part
            continue
        at_s = time_of(part) / timescale_of(init)
        chunk = min(int(at_s / chunk_s + LATE_SHARE), chunks - 1)
        if not gathered[chunk] and abs(at_s - chunk * chunk_s) > LATE_SHARE * chunk_s:
            raise BoxError(
                f"no key frame at {chunk * chunk_s:g} s, where chunk {chunk} begins (at {at_s:g} s)"
            )
        gathered[chunk] += part
    if (missing := next((k for k, one in enumerate(gathered) if not one), None)) is not None:
        raise BoxError(f"no key frame at {missing * chunk_s:g} s, where chunk {missing} begins")
    codec_of(init)  # refuses what is no H.264
    return init, tuple(SEGMENT_TYPE + one for one in gathered)


def _parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(`init`, bytes) of `ftyp` and `moov`, (`moof`, bytes) of each fragment."""
    places = list(boxes(data))
    for place, after in zip(places, [*places[1:], None], strict=True):
        if place.kind in (b"ftyp", b"moov"):
            yield b"init", data[place.start : place.end]
        elif place.kind == b"moof" and after is not None and after.kind == b"mdat":
            yield b"moof", data[place.start : after.end]


def package(
    folder: Path,
    files: Sequence[Path],
    ladder_kbps: Sequence[int],
    chunk_s: float,
    tell: Callable[[str], None],
) -> Video:
    """Write `manifest.mpd`, `LEVEL/init.mp4` and `LEVEL/CHUNK.m4s` into a folder.

    Args:
        files: one to be encoded, or encodes, lowest level first, whose mean bitrates are the ladder.
        ladder_kbps: of one file that is to be encoded.
        tell: is told, in a line, what is done.

    Raises:
        MediaError: no ffmpeg, files that make no video, or a folder that has an MPD already.
        VideoError: a ladder that is none.
        OSError: the folder can't be written.
    """
    if any(folder.glob("*.mpd")):
        raise MediaError(f"{folder}: it has an MPD already; name a new folder")
    sources = [Source.of(file) for file in files]
    chunks = min(source.chunks(chunk_s) for source in sources)
    if len(sources) == 1:
        heights = ladder_heights(ladder_kbps, sources[0])
        levels = []
        for kbps, height in zip(ladder_kbps, heights, strict=True):
            tell(f"encoding {chunks} chunks of {chunk_s:g} s at {kbps} kbit/s, {height} rows")
            levels.append(encode_level(sources[0], kbps, height, chunk_s, chunks))
        ladder = tuple(ladder_kbps)
    else:
        levels = [take_level(source, chunk_s, chunks) for source in sources]
        ladder = tuple(max(round(one.size_bytes * 8 / 1000 / (chunks * chunk_s)), 1) for one in levels)
    rest_s = max(source.duration_s for source in sources) - chunks * chunk_s
    if rest_s > LATE_SHARE * chunk_s:
        tell(f"the last {rest_s:.2f} s, which are no whole chunk, are left out")
    sizes = tuple(zip(*(tuple(map(len, one.segments)) for one in levels), strict=True))
    shown = tuple(one.pictures for one in levels)
    video = Video(plain_name(folder.resolve().name), chunk_s, ladder, sizes, pictures=shown)
    _write(folder, video, levels)
    return video


def _write(folder: Path, video: Video, levels: Sequence[Packaged]) -> None:
    for number, level in enumerate(levels):
        place = make_directory(folder / str(number))
        write_aside(place / "init.mp4", level.init)
        for chunk, segment in enumerate(level.segments):
            write_aside(place / f"{chunk}.m4s", segment)
    codecs = [codec_of(level.init) for level in levels]
    write_aside(folder / "manifest.mpd", write_mpd(video, codecs, video.pictures))
