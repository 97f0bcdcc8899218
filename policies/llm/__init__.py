"""NetLLM: a large language model adapted to a networking task (Wu et al., SIGCOMM 2024).

`task.py` says what a task is, `head.py` and `modality.py` what it may answer and be fed. `model` is the
network and the adapter's file, `engine` decides with it, `serving` does so for whoever asks, `learning` makes
adapters; none of them names a task. `tasks` has them, a folder each; `studies` measure what it is all worth.
`python -m policies.llm` has the commands.
"""
