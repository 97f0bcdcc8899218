"""NetLLM: a large language model adapted to a networking task (Wu et al., SIGCOMM 2024).

`modality.py` and `encoder.py` turn what a client knows into token-like embeddings, `backbone.py` is the
frozen language model with low-rank matrices, `model.py` puts a head on it that answers with one of the
valid levels. `abr.py` is the task: what a decision step looks like. `adapter.py` is the file that
adaptation makes, `engine.py` decides with it. `python -m policies.llm` has the commands.
"""
