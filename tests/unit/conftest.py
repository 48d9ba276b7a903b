"""Settings of hypothesis: a slow machine fails no test."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("corex", deadline=None)
settings.load_profile("corex")
