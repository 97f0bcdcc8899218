"""What clients do wrong is no fault of a server: it costs its log a line at most, and no traceback.

aiohttp logs a traceback for each client that leaves before its answer, and for each that sends no HTTP.
"""

from __future__ import annotations

import logging

from traces.escaping import visible

AIOHTTP_SERVER = "aiohttp.server"
SENT_NO_HTTP = frozenset({"HttpProcessingError", "RequestPayloadError"})
"""What aiohttp raises for it, in a head and in a body, by name: this package knows no server."""


class ClientFaults(logging.Filter):
    """Drops what a log says of clients that left; of those that sent no HTTP it leaves a line."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ConnectionError):
            return False
        if any(kind.__name__ in SENT_NO_HTTP for kind in type(error).__mro__):
            said = " ".join(str(error).split())
            record.msg, record.args = visible(f"{record.getMessage()}: no HTTP ({said[:200]})"), None
            record.exc_info = record.exc_text = None
        return True


def quiet_about_clients() -> None:
    """From now on aiohttp's servers of this process log no traceback of what clients do."""
    logger = logging.getLogger(AIOHTTP_SERVER)
    if not any(isinstance(one, ClientFaults) for one in logger.filters):
        logger.addFilter(ClientFaults())
