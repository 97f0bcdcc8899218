"""Names of the teachers of jobs (`teacher.py`), and what command lines tell: nothing is compiled here."""

RELEASE, LOOKS_AHEAD, DECIMA = "release", "teacher", "decima"
TEACHERS = (RELEASE, LOOKS_AHEAD, DECIMA)
LEARNED = ("tpch[30000:30024]",)
HELD_OUT = ("tpch[9000:9012]",)
"""Members that choose, as those of `policies.jobs.decima`."""
TESTED = ("tpch[0:48]",)
"""Nothing learns from these, and nothing is chosen by them."""
LENGTH = 60
"""Jobs of a sequence that is learned from, or chooses."""
