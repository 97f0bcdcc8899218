"""Many simulated sessions at once, compiled, bit-equal to `simulated/session.py` over the `published` link.

Start at `sessions.py`: `Sessions(Library(traces, videos), setup)` holds the sessions, `step(levels)`
downloads one chunk in each. `features.py` makes the observation vector of learned policies, for many
sessions here (in `features_filled.py`) and for one `Observation` in the emulator. `gym_env.py` is the
gymnasium face of it.
"""
