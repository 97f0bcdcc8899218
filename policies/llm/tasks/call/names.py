"""Names of the teachers of calls (`teacher.py`), and what command lines tell: nothing is compiled here."""

SMALL, LINK = "small", "link"
TEACHERS = (SMALL, LINK)
SCALE = 1.1
"""What the model's rates are multiplied by where nothing else is said: chosen with the shipped adapter."""
