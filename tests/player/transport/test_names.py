"""What is asked for and can't be had is refused in a line: packages, certificates, addresses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from player import __main__ as command
from player.transport import names
from player.transport.answer import Unusable
from player.transport.names import TransportError, refuse_missing, refuse_transport
from player.transport.place import Place
from player.transport.trust import CERTIFICATE_VARIABLE, certificates_in, trusted_certificate

ROOT = Path(__file__).resolve().parents[3]
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("transport", "lacking", "said"),
    [
        ("h2", {"h2"}, "h2: h2 is not installed: pip install"),
        ("h3", {"aioquic", "cryptography"}, "h3: aioquic and cryptography are not installed: pip install"),
    ],
)
def test_what_is_not_installed_is_named_with_how_to_get_it(
    transport: str, lacking: set[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "find_spec", lambda name: None if name in lacking else object())
    with pytest.raises(TransportError, match=said) as refused:
        refuse_missing(transport)
    assert "[transport]" in str(refused.value)
    refuse_missing("h1")


def test_a_congestion_control_that_quic_has_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "find_spec", lambda name: object())
    refuse_transport("h3", "reno")
    refuse_transport("h2", "bbr")
    with pytest.raises(TransportError, match="congestion control bbr: the origin's QUIC has cubic and reno"):
        refuse_transport("h3", "bbr")


def test_only_the_certificates_of_a_text_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = tmp_path / "both.pem"
    both.write_text(PEM + KEY + PEM)
    assert trusted_certificate(both) == PEM + PEM
    (tmp_path / "key.pem").write_text(KEY)
    for file, said in ((tmp_path / "key.pem", "holds no certificate"), (tmp_path / "none", "No such file")):
        with pytest.raises(TransportError, match=f"^--ca .*{said}"):
            trusted_certificate(file)
    monkeypatch.delenv(CERTIFICATE_VARIABLE, raising=False)
    assert trusted_certificate(None) is None
    monkeypatch.setenv(CERTIFICATE_VARIABLE, PEM)
    assert trusted_certificate(None) == PEM
    assert certificates_in(PEM.replace("\n", "\r\n"), "x") == PEM


@pytest.mark.parametrize(
    "url", ["http://a/b", "https://", "https://a:b/", "https://[::1/x", "ftp://a/b", "https://a/b c"]
)
def test_an_address_that_is_none_of_tls_is_unusable(url: str) -> None:
    with pytest.raises(Unusable):
        Place.of(url, "HTTP/2")


def test_an_address_is_taken_apart() -> None:
    place = Place.of("https://u:p@[::1]:8443/a%20b?c=d", "HTTP/3")
    assert (place.host, place.port, place.authority) == ("::1", 8443, "[::1]:8443")
    assert place.path == "/a%20b?c=d" and Place.of("https://a", "HTTP/2").path == "/"
    assert Place.of("https://a/x", "h").same_server(Place.of("https://a:443/y", "h"))
    head = place.head({"Range": "bytes=0-"})
    assert [name for name, _ in head] == [":method", ":scheme", ":authority", ":path", "range"]


def said_by(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert command.main(list(words)) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def test_a_player_is_refused_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = "http://127.0.0.1:9/a.mpd"
    assert "--transport h2: is spoken over TLS; write https://" in said_by(capsys, plain, "--transport", "h2")
    monkeypatch.setattr(names, "find_spec", lambda name: None)
    said = said_by(capsys, "https://127.0.0.1:9/a.mpd", "--transport", "h3")
    assert "--transport h3: aioquic and cryptography and h2 are not installed" in said
    assert "--ca" in said_by(capsys, "https://127.0.0.1:9/a.mpd", "--ca", "/nowhere")


def test_http_1_needs_nothing_of_the_extra() -> None:
    """Neither the player nor the origin may import it unless it is wanted."""
    script = (
        "import sys, json; import player.__main__, testbed.origin, testbed.session.transports;"
        "print(json.dumps([n for n in ('h2', 'aioquic', 'cryptography') if n in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert json.loads(done.stdout) == []
