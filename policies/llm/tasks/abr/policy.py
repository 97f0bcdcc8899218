"""Where `netllm` is for an installation from before it moved; `make setup` writes the new place."""

from policies.llm.tasks.ladder.policy import NetLLM

__all__ = ["NetLLM"]
