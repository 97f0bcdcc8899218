"""APC for calls: a rule sets the easy rates, the adapted language model the hard ones.

Facts, scheduler, price and budget as for videos (`policies/apc`); `policy.py` is the policy `apc` of calls,
`moments.py` plays out what asking the model gains, and `python -m policies.apc.calls` makes and tests the
thresholds.
"""
