"""The origin server: videos over HTTP, streamed, with what a measurement wants to know.

    python testbed/origin.py --port 8080
    python testbed/origin.py --video envivio --video DIR_OF_SIZES --media DIR_OF_DASH --log origin.jsonl
    python testbed/origin.py --transport h3 --certificate origin.pem

A described video `NAME` is `/NAME/manifest.mpd` and `/NAME/LEVEL/CHUNK.m4s`, both counted from 0.
A segment has exactly the described size. With ffmpeg on the machine it is real media, a small generated
picture and a filling, made once (some seconds a level) and kept: any DASH player shows it, and a browser
does at `/`. Without, and in the filling, bytes are noise that no link can compress, a function of video,
level, chunk and position alone, so that a download resumed with Range fits its first part. A directory of
encoded media is served as it is, beside the videos.

Every answer carries the sender's view of the connection (`player/real/cmsd.py`), and every request
leaves a line in the log with its protocol and, at its end, the connection's TCP_INFO or what QUIC knows.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from traces.handover import hand_over

    hand_over()

    from testbed.server.command_line import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from aiohttp import web

from player.live.parts import parts_of
from player.transport.names import H1, TransportError, refuse_transport
from player.video.built_in import builtin_names, load_video
from player.video.media.encode import MediaError, has_encoder
from player.video.media.prepared import PreparedMedia, kept_media, prepare_media
from player.video.mpd_xml import MpdError
from player.video.video import Video, VideoError
from testbed.server.application import CATALOGUE, UnknownCongestionControl, make_app, serve
from testbed.server.certificate import Certificate, origin_certificate
from testbed.server.command_line import parser
from testbed.server.resources import Catalogue
from traces.commands import refuse, said_of, tell_line
from traces.files import growing


class RequestLog:
    """Writes a JSON line for each request. A log that fails is reported once; serving goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream

    def __call__(self, line: Mapping[str, Any]) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._stream.flush()
        except OSError as error:
            self._stream = None
            print(f"origin.py: the log ends here: {error.strerror}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        refuse_transport(options.transport, options.cc)
        if options.media is not None and not options.media.is_dir():
            raise VideoError(
                f"{options.media}: no such directory; --media takes the folder that holds the MPD"
            )
        specs = options.video or (() if options.media is not None else builtin_names())
        videos = [load_video(spec) for spec in specs]
        with contextlib.ExitStack() as files:
            stream = sys.stderr
            if options.log is not None:
                stream = files.enter_context(growing(options.log))
            whole = _prepared(videos, options)
            in_parts = [] if options.part_s is None else _prepared(videos, options, options.part_s)
            app = make_app(videos, options.media, RequestLog(stream), whole, options.part_s, in_parts)
            return asyncio.run(_until_signalled(app, options))
    except (VideoError, MpdError) as error:
        return _refuse(str(error))
    except TransportError as error:
        return _refuse(f"--transport {error}" if not str(error).startswith("--") else str(error))
    except OSError as error:
        return _refuse(said_of(error))


def _prepared(
    videos: Sequence[Video], options: argparse.Namespace, part_s: float | None = None
) -> list[PreparedMedia]:
    """Real media of the videos, as far as they were asked for and can be had; why not is said to people.

    Args:
        part_s: of segments in such parts; None: of whole ones.
    """
    wanted = [(video, parts_of(video.chunk_s, part_s)) for video in videos]
    if options.segments == "noise":
        return []
    if options.segments == "kept":
        return [media for video, parts in wanted if (media := kept_media(video, parts)) is not None]
    found = []
    for video, parts in wanted:
        if has_encoder() and kept_media(video, parts) is None:
            tell_line(f"making a small clip for each level of {video.name}, once", sys.stderr)
        try:
            found.append(prepare_media(video, parts))
        except (MediaError, OSError) as error:
            why = said_of(error) if isinstance(error, OSError) else str(error)
            tell_line(
                f"note: the segments of {video.name} are random bytes, which no player shows: {why}",
                sys.stderr,
            )
    return found


def _refuse(reason: str) -> int:
    return refuse("origin.py", reason)


async def _until_signalled(app: web.Application, options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    certificate = _certificate(options)

    def announce(host: str, port: int) -> None:
        scheme = "http" if certificate is None else "https"
        url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"
        catalogue = app[CATALOGUE]
        if options.json:
            told = _announcement(catalogue, url, host, port)
            print(json.dumps({**told, **_secured(options, certificate)}), flush=True)
            return
        what = [*catalogue.videos, *([str(catalogue.media)] if catalogue.media else [])]
        by = "" if certificate is None else f" by {options.transport}"
        print(f"serving {', '.join(what)} at {url}{by}", flush=True)

    transport = options.transport
    try:
        await serve(app, options.host, options.port, announce, stop, options.cc, transport, certificate)
    except UnknownCongestionControl as error:
        return _refuse(f"--cc {error}")
    except OSError as error:
        return _refuse(
            f"cannot listen on {options.host} port {options.port}: {error.strerror or error}; choose another"
        )
    return 0


def _certificate(options: argparse.Namespace) -> Certificate | None:
    """What TLS is spoken with; None without.

    Raises:
        TransportError: a file that holds none.
        OSError: one that can't be read or written.
    """
    if options.transport == H1:
        return None
    names = dict.fromkeys(("localhost", "127.0.0.1", "::1", socket.gethostname(), options.host))
    return origin_certificate(options.certificate, tuple(names))


def _secured(options: argparse.Namespace, certificate: Certificate | None) -> dict[str, Any]:
    """What the announcement says of TLS."""
    if certificate is None:
        return {}
    return {"transport": options.transport, "certificate": certificate.public}


def _announcement(catalogue: Catalogue, url: str, host: str, port: int) -> dict[str, Any]:
    videos = [
        {
            "name": name,
            "manifest": f"{url}{quote(name)}/manifest.mpd",
            "levels": video.levels,
            "chunks": video.chunks,
            "chunk_s": video.chunk_s,
            "sha256": video.sha256,
            "segments": "media" if name in catalogue.prepared else "noise",
        }
        for name, video in catalogue.videos.items()
    ]
    media = str(catalogue.media) if catalogue.media else None
    return {"host": host, "port": port, "url": url, "videos": videos, "media": media}


if __name__ == "__main__":
    sys.exit(main())
