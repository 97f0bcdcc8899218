"""By which code and with which versions a session was decided.

It is gathered here, for emulated, simulated and real sessions alike, and read back here, from a manifest of
any age: of what an older one does not say, nothing is known, and nothing differs.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from player.manifest import CodeSection, Manifest, PolicySection
from player.policy import Policy
from player.registry import policy_file
from player.sources import file_sha256, policy_sources
from traces.versions import CodeVersion, loaded_versions, version_here

SERVER_VERSIONS = "versions"
"""Where a policy's server tells of its own, which may be other ones than the player's."""


@dataclass(frozen=True)
class Provenance:
    """What decided, as far as it is known."""

    source_sha256: str | None = None
    """Of the file that the policy's class stands in."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Of a user's policy of several files: SHA-256 of each, by its path from the policy's folder."""
    code: CodeVersion = field(default_factory=CodeVersion)
    versions: Mapping[str, str] = field(default_factory=dict)
    server_versions: Mapping[str, str] = field(default_factory=dict)
    """In the process of the server that the policy asked."""

    @classmethod
    def of(cls, told: Manifest) -> Provenance:
        """What a record's first line says, of whatever age."""
        policy, code = told.policy or PolicySection(), told.code or CodeSection()
        return cls(
            policy.source_sha256,
            _texts(policy.sources),
            CodeVersion(code.commit, code.dirty),
            _texts(told.versions),
            _texts((told.policy_server or {}).get(SERVER_VERSIONS)),
        )

    def facts(self) -> Iterator[tuple[str, Any]]:
        """Each fact that is known, by its field in the manifest."""
        if self.source_sha256 is not None:
            yield "policy.source_sha256", self.source_sha256
        yield from ((f"policy.sources.{name}", sha256) for name, sha256 in self.sources.items())
        if self.code.commit is not None:
            yield "code.commit", self.code.commit
        if self.code.dirty is not None:
            yield "code.dirty", self.code.dirty
        yield from ((f"versions.{name}", version) for name, version in self.versions.items())
        for name, version in self.server_versions.items():
            yield f"policy_server.{SERVER_VERSIONS}.{name}", version

    def here(self, spec: str, policy: Policy, code: CodeVersion) -> Provenance:
        """What this machine has of all that this one tells of.

        Args:
            spec: the policy's.
            code: of this tree.
        """
        mine = decided_by(spec, policy)
        return replace(
            mine,
            code=code,
            versions=_here(self.versions),
            server_versions=_here(self.server_versions),
        )

    def differences(self, now: Provenance) -> Iterator[tuple[str, Any, Any]]:
        """Field, what it was and what it is, of all that this one says and that is otherwise now."""
        there = dict(now.facts())
        for name, was in self.facts():
            if there.get(name) != was:
                yield name, was, there.get(name)


def code_section(code: CodeVersion) -> CodeSection | None:
    """What a record says of the tree; None where nobody knows."""
    return CodeSection(code.commit, code.dirty) if code.commit is not None else None


def decided_by(spec: str, policy: Policy) -> Provenance:
    """Of a policy and this process: sources and versions. The tree is asked once a run (`code_version`).

    Args:
        spec: as typed.
        policy: constructed.
    """
    file = policy_file(spec)
    sources = policy_sources(file) if file is not None else None
    several = sources is not None and len(sources.files) > 1
    return Provenance(
        source_sha256=_source_sha256(policy),
        sources=sources.files if sources is not None and several else {},
        versions=loaded_versions(sources.packages if sources is not None else ()),
    )


def user_file_sha256(spec: str) -> str | None:
    """Hash of the file of a user's own that a spec names; None where it names an installed policy."""
    file = policy_file(spec)
    return None if file is None else file_sha256(file)


def _source_sha256(policy: Policy) -> str | None:
    """Hash of the file that a policy's class stands in; None if it stands in none."""
    try:
        return file_sha256(Path(inspect.getfile(type(policy))))
    except TypeError:
        return None


def _here(versions: Mapping[str, str]) -> dict[str, str]:
    found = {name: version_here(name) for name in versions}
    return {name: version for name, version in found.items() if version is not None}


def _texts(given: object) -> dict[str, str]:
    """Names and texts; whatever else somebody wrote there is not known."""
    held = given.items() if isinstance(given, Mapping) else ()
    return {name: text for name, text in held if isinstance(text, str)}
