"""Whether this machine can have a link, asked while a command is planned."""

from __future__ import annotations

from testbed.aqm.managed import refuse_aqm
from testbed.link.lane import check_congestion_control, delay_backend, require_tools
from testbed.link.settings import LinkSettings, check_carried
from traces.trace import Trace


def able_backend(trace: Trace, settings: LinkSettings) -> str:
    """Who delays and loses here, once it is sure that this machine can have such a link.

    Raises:
        TestbedError: it can't; what is missing and the way out.
    """
    require_tools()
    check_congestion_control(settings.congestion_control)
    backend = delay_backend(settings.asked_backend)
    check_carried(trace, settings, backend)
    refuse_aqm(settings.aqm)
    return backend
