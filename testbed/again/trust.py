"""A policy's file is somebody's code: one that a record names is not run without a word."""

from __future__ import annotations

from player.registry import policy_file
from player.sources import policy_sources
from testbed.again.told import Told, plain
from testbed.process.errors import TestbedError
from traces.commands import said_of
from traces.safe_reading import sha256_of
from traces.words import short_hash


def trusted_files(told: Told, policy: str, fallback: str, trust: bool) -> str:
    """What is to be said of the files that a record's policy and fallback lie in; empty without any.

    Args:
        policy: its spec, as recorded.
        fallback: its.
        trust: whether the user has said that their code may run.

    Raises:
        TestbedError: one is a file, and nobody has said that it may run, or it is not there.
    """
    found = {fallback: "player.fallback_sha256", policy: "policy.source_sha256"}
    said = [_trusted_file(told, spec, place, trust) for spec, place in found.items()]
    return "; ".join(filter(None, said))


def _trusted_file(told: Told, spec: str, place: str, trust: bool) -> str:
    """What is to be said of one.

    Args:
        place: where the record tells its hash.
        trust: whether the user has said that its code may run.

    Raises:
        TestbedError: it is a file, and nobody has said that it may run, or it is not there.
    """
    path = policy_file(spec)
    if path is None:
        return ""
    name = plain(str(path))
    try:
        if not path.is_file():
            raise TestbedError(f"{told.path}: its policy's file {name} is not there; run this where it is")
        digest = sha256_of(path)
    except OSError as error:
        raise TestbedError(f"{told.path}: its policy's file {name}: {said_of(error)}") from None
    recorded = told.optional(place)
    was = f"recorded {plain(short_hash(recorded))}" if recorded else "not recorded"
    same = "as recorded" if recorded == digest else was
    others = len(policy_sources(path).files) - 1
    name += f" with {others} module{'s' * (others > 1)} beside it" if others > 0 else ""
    said = f"{name} (SHA-256 {short_hash(digest)}, {same})"
    if not trust:
        raise TestbedError(
            f"{told.path} names a policy file, {said}, whose code would run here; read it, then add --trust"
        )
    return f"policy file {said}"
