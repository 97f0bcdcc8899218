"""Where `small` is for an installation from before it moved; `make setup` writes the new place."""

from policies.llm.tasks.ladder.small import Small

__all__ = ["Small"]
