"""Names of the teachers of calls (`teacher.py`), for command lines too: nothing is compiled for these."""

SMALL, LINK = "small", "link"
TEACHERS = (SMALL, LINK)
