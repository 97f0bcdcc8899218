"""The one exception that commands of this package print as a single line, with exit status 2."""

from __future__ import annotations


class TestbedError(Exception):
    """Something that the user can mend; the message names the cause and the way out."""

    __test__ = False  # pytest would take the name for a test class
