"""The server's time, by which ages are told."""

from __future__ import annotations

from corex.core import Core
from corex.effects import Plan, Run
from corex_shared.errors import StoreRefusedError


def server_ms(core: Core) -> Plan[int]:
    """Read the server's time in ms since the epoch; this machine's for a user who may not."""
    try:
        (answer,) = yield Run([("TIME",)])
    except StoreRefusedError:
        return core.now_ms()
    return int(answer[0]) * 1000 + int(answer[1]) // 1000
