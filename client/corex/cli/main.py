"""The entry point `corex`.

It imports nothing that an extra brings before it knows that the extra is there.
"""

from __future__ import annotations

import sys

_EXTRA = {"typer", "rich", "click", "shellingham"}


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        import rich  # noqa: F401 - typer needs it only later, in the midst of a command

        from corex.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(
            f"corex: the command line needs {error.name}, which is not installed; "
            "install it with: pip install 'corex-runner[cli]'\n"
        )
        sys.exit(2)
    sys.exit(run())


if __name__ == "__main__":
    main()
