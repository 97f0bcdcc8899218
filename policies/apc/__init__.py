"""APC: the easy decisions to a light policy, the hard ones to the language model.

Adaptive policy collaboration after Trailblazer (arXiv 2512.11839). `facts.py` is what a scheduler sees,
`scheduler.py` what it says, `rule.py` and `learned.py` are the two kinds, `dynamic.py` moves the threshold
while it runs, `router.py` puts them beside a light policy, and `policy.py` is the policy `apc`.
`python -m policies.apc` trains, sweeps and times them.
"""
