"""A proxy whose connections go dead without anybody being told."""

from __future__ import annotations

import socket

from tests.helpers.proxy import Proxy


class StrandingProxy(Proxy):
    """Can leave the connections of now as cables do that are pulled out: open, and dead."""

    _dead: list[socket.socket]

    def strand(self) -> int:
        """Forward nothing any more on the connections of now, in no direction, for ever.

        New connections work.

        Returns:
            How many there were.
        """
        with self._lock:
            links = list(self._links)
            self._links.clear()
            for link in links:
                link.open = False
                for end in link.sockets:
                    if self._selector.get_map().get(end) is not None:
                        self._selector.unregister(end)
                    self._stranded().append(end)
        self._poke()
        return len(links)

    def close(self) -> None:
        """Reset what is open and end; what is stranded is closed too."""
        super().close()
        for end in self._stranded():
            end.close()
        self._stranded().clear()

    def _stranded(self) -> list[socket.socket]:
        if not hasattr(self, "_dead"):
            self._dead = []
        return self._dead
