"""The kernel's counters as text: what is well formed is read, what is not is named."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.process.errors import TestbedError
from testbed.verdict.path_counters import parse_dev, parse_protocols, read_host

COUNT = st.integers(0, 2**64 - 1)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9-]{0,13}", fullmatch=True), st.lists(COUNT, min_size=16, max_size=16)
    )
)
def test_interfaces_are_read_whatever_their_counts(lines: dict[str, list[int]]) -> None:
    text = "Inter-|   Receive\n face |bytes\n" + "".join(
        f"{name:>6}: {' '.join(map(str, counts))}\n" for name, counts in lines.items()
    )
    found = parse_dev(text)
    assert {name: (one.rx_packets, one.tx_packets) for name, one in found.items()} == {
        name: (counts[1], counts[9]) for name, counts in lines.items()
    }


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Za-z0-9]{0,13}", fullmatch=True), st.integers(-1, 2**63)))
def test_protocols_are_read_whatever_their_names(counts: dict[str, int]) -> None:
    text = f"Ip: {' '.join(counts)}\nIp: {' '.join(map(str, counts.values()))}\n"
    assert parse_protocols(text) == {f"Ip.{name}": count for name, count in counts.items()}


@pytest.mark.parametrize("line", ["lo 1 2 3", "lo: 1 2", "lo: " + "x " * 16])
def test_a_line_that_is_none_is_named(line: str) -> None:
    with pytest.raises(TestbedError, match="is no line of counters"):
        parse_dev(f"a\nb\n{line}\n")


@pytest.mark.parametrize("text", ["Ip: A B\n", "Ip: A B\nIp: 1\n", "Ip: A\nTcp: 1\n", "Ip: A\nIp: x\n"])
def test_names_and_values_that_do_not_match_are_named(text: str) -> None:
    with pytest.raises(TestbedError, match="/proc/net/snmp"):
        parse_protocols(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_dev, parse_protocols):
        try:
            parse(text)
        except TestbedError:
            continue


def test_our_own_host_can_be_read_and_one_that_is_gone_is_named() -> None:
    assert "lo" in read_host(os.getpid()).interfaces
    with pytest.raises(TestbedError, match="cannot read the counters of process 4194305"):
        read_host(4194305)
