"""Figures of the teacher of calls; `labels.py` says what they are for, and imports what takes long."""

from __future__ import annotations

TEACHER_WINDOWS_S = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0)
TEACHER_MARGIN = 0.65
"""Windows and share of the teacher, in place of `WINDOWS_S` and `MARGIN` of `policies/call/oracle.py`."""
TAUGHT_MARGIN = 0.8
"""The share that the small net is taught, less cautious than the teacher: who learns cannot know what comes,
and is kept below by what errors upwards count."""
