"""What a lane can be fetched by, and what its processes are told for it."""

from __future__ import annotations

import pytest

from player.transport import names
from player.transport.trust import CERTIFICATE_VARIABLE
from testbed.link.settings import LinkSettings
from testbed.machine.load import SESSION_LOAD
from testbed.process.errors import TestbedError
from testbed.server.certificate import KEY_VARIABLE
from testbed.session.transports import (
    QUIC_MAX_MBPS,
    able_transport,
    lane_load,
    origin_url,
    origin_variables,
    player_variables,
)
from tests.support.stream_servers import need_transport
from traces.trace import Trace

SLOW = Trace("slow", (0.0, 10.0), (2.0, 2.0))
FAST = Trace("fast", (0.0, 10.0), (QUIC_MAX_MBPS + 1, QUIC_MAX_MBPS + 1))


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it takes is here."""
    monkeypatch.setattr(names, "find_spec", lambda name: object())


def test_a_protocol_that_can_be_had_is_taken() -> None:
    for transport in names.TRANSPORTS:
        able_transport(transport, SLOW, LinkSettings())
    able_transport("h2", FAST, LinkSettings(congestion_control="bbr"))
    able_transport("h1", FAST, LinkSettings(), part_s=0.5)


@pytest.mark.parametrize(
    ("transport", "trace", "control", "part_s", "said"),
    [
        ("h2", SLOW, "cubic", 0.5, "only HTTP/1.1 tells where a part of a chunk ends; leave --part-s away"),
        ("h3", FAST, "cubic", None, "Cap it in the open with --cap-mbps"),
        ("h3", SLOW, "bbr", None, "--transport h3: congestion control bbr"),
    ],
)
def test_what_does_not_go_together_is_refused(
    transport: str, trace: Trace, control: str, part_s: float | None, said: str
) -> None:
    with pytest.raises(TestbedError, match=said):
        able_transport(transport, trace, LinkSettings(congestion_control=control), part_s)


def test_a_quic_in_python_is_most_of_its_lanes_load() -> None:
    assert lane_load("h1", SLOW) == lane_load("h2", SLOW) == SESSION_LOAD
    assert lane_load("h3", SLOW) == pytest.approx(SESSION_LOAD + 2.0 / 40.0)


def test_the_key_goes_to_the_origin_alone() -> None:
    need_transport()
    assert (origin_variables("h1"), player_variables("h1")) == ({}, {})
    assert origin_url("h1", "a").startswith("http://") and origin_url("h3", "a").startswith("https://")
    origin, player = origin_variables("h3"), player_variables("h3")
    assert set(origin) == {KEY_VARIABLE} and set(player) == {CERTIFICATE_VARIABLE}
    assert origin[KEY_VARIABLE].startswith(player[CERTIFICATE_VARIABLE])
    assert "PRIVATE KEY" not in player[CERTIFICATE_VARIABLE]
    assert player_variables("h2") == player, "one certificate a run"
