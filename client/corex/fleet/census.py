"""Which of many keys are there, in one round trip with other commands.

They are asked for by the hundred, since nearly always all of them are there (heartbeats), or none
is (results of what runs). Where one command cannot ask for many keys (on a Cluster), each is asked
for by itself, and only some of them at a time, the next ones the next time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from corex.core import Core
from corex.effects import Plan, Run
from corex.lookout import CHUNK, MOST_SINGLY
from corex_shared.scripts import Call


class Census:
    """One look at some keys."""

    def __init__(self, core: Core, keys: Mapping[int, str], turn: int = 0) -> None:
        """Prepare.

        Args:
            core: the client's surroundings.
            keys: by the numbers under which they are answered.
            turn: how many looks came before, where not all are looked at each time.
        """
        self._keys = keys
        indexes = list(keys)
        self._singly = core.lookout.singly
        if self._singly and len(indexes) > MOST_SINGLY:
            start = turn * MOST_SINGLY % len(indexes)
            indexes = (indexes + indexes)[start : start + MOST_SINGLY]
        size = 1 if self._singly else CHUNK
        self._chunks = [indexes[at : at + size] for at in range(0, len(indexes), size)]

    def calls(self) -> list[Call]:
        """Make the commands, as few as can be."""
        return [self._exists(chunk) for chunk in self._chunks]

    def read(self, answers: Sequence[Any]) -> Plan[dict[int, bool]]:
        """Read the answers; where some keys are there and some are not, ask for each."""
        found: dict[int, bool] = {}
        mixed: list[int] = []
        for chunk, count in zip(self._chunks, answers, strict=True):
            if count in (0, len(chunk)):
                found.update(dict.fromkeys(chunk, bool(count)))
            else:
                mixed += chunk
        if mixed:
            each = yield Run([self._exists([index]) for index in mixed])
            found.update(zip(mixed, map(bool, each), strict=True))
        return found

    def _exists(self, indexes: Sequence[int]) -> Call:
        return ("EXISTS", *(self._keys[index] for index in indexes))
