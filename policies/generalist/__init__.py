"""One model for several tasks: does one set of low-rank matrices serve them all, and does it help another?

    python -m policies.llm generalist                                # table and verdict of the rows that ship
    python -m policies.llm generalist run --pool POOL … --out DIR    # runs what is missing, a row file each
    python -m policies.llm generalist table|figure --out DIR

`plan.py` says which runs there are, `learning.py` learns one, `rows.py` keeps what came of it, `scores.py`
has the intervals and `verdict.py` what may be claimed; table and figure are made of rows alone.
"""
