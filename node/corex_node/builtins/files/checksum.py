"""Checksums of files."""

from __future__ import annotations

import hashlib
import os
import stat

from corex_node.builtins.files.open_file import open_carefully
from corex_node.builtins.files.refusal import refusing
from corex_node.builtins.files.walk import Stopped, check_stopped
from corex_shared.errors import BadRequestError, NotAcceptableError

ALGORITHMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s")
_CHUNK = 1024 * 1024


def checksum(path: str, algorithm: str, stopped: Stopped) -> str:
    """Compute the checksum of a file's content, in hexadecimal.

    Raises:
        BadRequestError: there is no such algorithm.
        NotAcceptableError: it is a device that has no end.
        CommandError: it cannot be read.
    """
    if algorithm not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise BadRequestError(f"algorithm: {algorithm[:40]!r}: one of {known} expected")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    number = open_carefully("path", path, os.O_RDONLY)
    try:
        if stat.S_ISCHR(os.fstat(number).st_mode):
            raise NotAcceptableError(f"path: {path}: it is a device, not a file")
        with refusing("path", path):
            while chunk := os.read(number, _CHUNK):
                check_stopped(stopped)
                digest.update(chunk)
    finally:
        os.close(number)
    return digest.hexdigest()
