"""x264 itself, through its C interface: a real encoder whose rate can be changed while it runs.

The library is the one that ffmpeg brings along. Settings go in as text (`x264_param_parse`); the few that
have no text stand at places that x264.h gives, the same in all builds that are accepted here."""

from __future__ import annotations

import ctypes
import ctypes.util
import re
from collections.abc import Mapping
from pathlib import Path

BUILDS = range(157, 166)
"""Interface numbers whose places are those below."""

_PARAM_BYTES, _PICTURE_BYTES = 16384, 4096
"""More than these structures take; the library fills them by itself."""
_WIDTH_AT, _HEIGHT_AT = 28, 32
_TYPE_AT, _PTS_AT, _CSP_AT, _PLANES_AT, _STRIDE_AT, _PLANE_AT = 0, 16, 40, 44, 48, 64
_I420, _AUTO, _IDR = 2, 0, 1


class EncoderError(Exception):
    """x264 isn't here, or won't encode; the message says the way out."""


def find_library() -> tuple[Path, int]:
    """x264's library and its interface number.

    Raises:
        EncoderError: there is none, or one that isn't known.
    """
    name = ctypes.util.find_library("x264")
    folders = [Path(each) for each in ("/usr/lib", "/usr/local/lib", "/lib")]
    found = [path for folder in folders for path in sorted(folder.rglob("libx264.so.*"))]
    names = ([Path(name)] if name else []) + found
    for path in names:
        number = re.search(r"\.so\.(\d+)$", path.name)
        if number and int(number[1]) in BUILDS:
            return path, int(number[1])
    raise EncoderError("no libx264 of a known build; apt-get install ffmpeg brings one")


class Encoder:
    """A stream of 4:2:0 pictures at a constant rate within a buffer, as a call has it.

    Args:
        key_frames: frames from one key frame to the next.
        buffer_s: of the rate control (vbv).
    """

    def __init__(
        self, width: int, height: int, fps: int, kbps: int, key_frames: int, buffer_s: float
    ) -> None:
        path, build = find_library()
        self._x264 = ctypes.CDLL(str(path))
        self._size, self._buffer_s, self._frames = (width, height), buffer_s, 0
        self._param = ctypes.create_string_buffer(_PARAM_BYTES)
        if self._x264.x264_param_default_preset(self._param, b"superfast", b"zerolatency") < 0:
            raise EncoderError(f"{path}: it has no preset superfast, zerolatency")
        self._put(self._param, _WIDTH_AT, width)
        self._put(self._param, _HEIGHT_AT, height)
        self._set(
            {"fps": str(fps), "keyint": str(key_frames), "scenecut": "0", "log": "-1", **self._rate(kbps)}
        )
        opened = getattr(self._x264, f"x264_encoder_open_{build}")
        opened.restype = ctypes.c_void_p
        self._handle = ctypes.c_void_p(opened(self._param))
        if not self._handle:
            raise EncoderError(f"{path}: it opens no encoder of {width}x{height}")

    def _rate(self, kbps: int) -> dict[str, str]:
        return {
            "bitrate": str(kbps),
            "vbv-maxrate": str(kbps),
            "vbv-bufsize": str(round(kbps * self._buffer_s)),
        }

    def _set(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            if self._x264.x264_param_parse(self._param, name.encode(), value.encode()) < 0:
                raise EncoderError(f"x264 refuses {name}={value}")

    @staticmethod
    def _put(structure: ctypes.Array[ctypes.c_char], at: int, value: int) -> None:
        ctypes.c_int.from_buffer(structure, at).value = value

    def set_rate(self, kbps: int) -> None:
        """From the next frame on."""
        self._set(self._rate(kbps))
        if self._x264.x264_encoder_reconfig(self._handle, self._param) < 0:
            raise EncoderError(f"x264 won't go to {kbps} kbit/s")

    def encode(self, picture: bytes) -> int:
        """The bytes that a picture takes."""
        width, height = self._size
        pixels = ctypes.create_string_buffer(picture, width * height * 3 // 2)
        given, out = (ctypes.create_string_buffer(_PICTURE_BYTES) for _ in range(2))
        self._x264.x264_picture_init(given)
        ctypes.c_int64.from_buffer(given, _PTS_AT).value = self._frames
        self._put(given, _TYPE_AT, _IDR if self._frames == 0 else _AUTO)
        self._put(given, _CSP_AT, _I420)
        self._put(given, _PLANES_AT, 3)
        offset = 0
        for plane, (stride, rows) in enumerate(((width, height), *((width // 2, height // 2),) * 2)):
            self._put(given, _STRIDE_AT + 4 * plane, stride)
            ctypes.c_void_p.from_buffer(given, _PLANE_AT + 8 * plane).value = (
                ctypes.addressof(pixels) + offset
            )
            offset += stride * rows
        units, count = ctypes.c_void_p(), ctypes.c_int()
        size = self._x264.x264_encoder_encode(
            self._handle, ctypes.byref(units), ctypes.byref(count), given, out
        )
        if size < 0:
            raise EncoderError(f"x264 can't encode frame {self._frames}")
        self._frames += 1
        return int(size)

    def close(self) -> None:
        """Give back what it took."""
        self._x264.x264_encoder_close(self._handle)
