"""Moving pictures that everybody can make: ffmpeg's generated sources, raw."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

from player.call.encoder_fit.x264 import EncoderError

WIDTH, HEIGHT, FPS = 640, 360, 25

SOURCES = {
    "mandelbrot": f"mandelbrot=size={WIDTH}x{HEIGHT}:rate={FPS}",
    "noisy-test": f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FPS},noise=alls=12:allf=t",
    "life": f"life=size={WIDTH}x{HEIGHT}:rate={FPS}:seed=1:mold=10:life_color=white:death_color=gray,gblur=2",
    "plasma": f"gradients=size={WIDTH}x{HEIGHT}:rate={FPS}:seed=1:speed=0.02:n=6,noise=alls=5:allf=t",
}
"""A slow zoom, moving shapes under camera noise, small things that come and go, soft colours under noise."""


def pictures(source: str, frames: int) -> Iterator[bytes]:
    """The first frames of a source, 4:2:0.

    Raises:
        EncoderError: there is no ffmpeg, or it can't make this source.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise EncoderError("no ffmpeg; apt-get install ffmpeg")
    size = WIDTH * HEIGHT * 3 // 2
    command = [program, "-v", "error", "-f", "lavfi", "-i", SOURCES[source], "-frames:v", str(frames)]
    command += ["-pix_fmt", "yuv420p", "-f", "rawvideo", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as made:
        assert made.stdout is not None and made.stderr is not None
        for _ in range(frames):
            picture = made.stdout.read(size)
            if len(picture) < size:
                said = made.stderr.read().decode(errors="replace").strip().splitlines()
                raise EncoderError(f"ffmpeg ends source {source} early: {said[-1] if said else 'no reason'}")
            yield picture
