"""The program of an agent: `service`, without what only a terminal has use for."""

from __future__ import annotations

import sys
from typing import Any, cast


def main() -> int:
    """Serve as `service.main` does, in a process of its own."""
    # structlog imports rich, where it is installed, for tracebacks in colour: a tenth of the
    # agent's memory. A None here is "no such module" to the import system.
    cast("dict[str, Any]", sys.modules)["rich"] = None
    from corex_node import service

    return service.main()


if __name__ == "__main__":
    sys.exit(main())
