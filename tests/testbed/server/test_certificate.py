"""The origin's certificate, as people's files hold it."""

from __future__ import annotations

from pathlib import Path

import pytest

from player.transport.names import TransportError
from tests.support.stream_servers import LOCAL, need_transport

need_transport()

from testbed.server.certificate import (  # noqa: E402
    Certificate,
    made_certificate,
    origin_certificate,
    server_context,
)


@pytest.fixture(scope="module")
def made() -> Certificate:
    return made_certificate((LOCAL,))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("key_first", [False, True])
def test_a_file_may_have_its_key_before_or_after(
    made: Certificate, tmp_path: Path, key_first: bool, end: str
) -> None:
    text = made.key + made.public if key_first else made.public + made.key
    (tmp_path / "both.pem").write_bytes(f"Of a friend:\n{text}".replace("\n", end).encode())
    read = origin_certificate(tmp_path / "both.pem", ())
    assert read == made
    server_context(read)  # which takes it


def test_a_file_that_is_not_there_keeps_the_new_one_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new.pem"
    made = origin_certificate(file, (LOCAL,))
    assert origin_certificate(file, ()) == made
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kept", ["public", "key"])
def test_half_of_it_is_said_to_be_half(made: Certificate, tmp_path: Path, kept: str) -> None:
    (tmp_path / "half.pem").write_text(getattr(made, kept))
    with pytest.raises(TransportError, match=r"holds no (certificate|private key)"):
        origin_certificate(tmp_path / "half.pem", ())
