"""The task `jobs`: which stage of which job gets executors that became free, and how many of them.

    python -m policies.llm collect --task jobs --out pool
    python -m policies.llm adapt --task jobs --pool pool --layers 4 --out adapter
    python -m policies.llm test --task jobs --adapter adapter

A decision is one token: the graph of all stages, its jobs and the cluster, summed up by a small network.
The head points at a stage, and says which share of the executors it gets.
"""
