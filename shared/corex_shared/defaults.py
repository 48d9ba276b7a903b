"""What is taken where nothing is said; apart, for those who need nothing else of its subject."""

from __future__ import annotations

DEFAULT_URL = "redis://127.0.0.1:6379/0"
"""Where Redis is."""
