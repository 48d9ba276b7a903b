"""A plugin of pytest: the fixture `corex_fleet`.

pytest loads it in every project that has corex installed, so it imports nothing that it can do
without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from corex.testing.memory_fleet import MemoryFleet


@pytest.fixture
def corex_fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryFleet]:
    """A fleet in memory without nodes (`add` makes some), to which COREX_URL leads."""
    from corex.testing.memory_fleet import fleet

    with fleet([]) as made:
        monkeypatch.setenv("COREX_URL", made.url)
        monkeypatch.delenv("COREX_NAMESPACE", raising=False)
        monkeypatch.delenv("COREX_PROFILE", raising=False)
        yield made
