"""From the command line to an agent, which takes the place of its process.

Nothing of the agent is imported here: the process forgets at once what it has loaded.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import msgspec

from corex_node.config import Config

USAGE = 2
"""Exit code of settings that cannot be used."""


def replace_process(config: Config) -> NoReturn:
    """Become an agent: the same process, without what the command line had loaded.

    That is a fifth of its memory. The settings go along in a file of memory, since they may hold
    a password.
    """
    settings = os.memfd_create("corex-node")
    os.write(settings, msgspec.json.encode(config))
    os.lseek(settings, 0, os.SEEK_SET)
    os.set_inheritable(settings, True)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "corex_node.lean", str(settings)])
