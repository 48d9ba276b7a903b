"""A server that forgets its last moments, as one that is killed before it has written them may."""

from __future__ import annotations

import shutil
from pathlib import Path

from corex_node.process.embedded import EmbeddedRedis


class Rewind:
    """Takes a persistent server back to an earlier moment."""

    def __init__(self, server: EmbeddedRedis, folder: Path) -> None:
        """Keep what the server has written until now in a folder, which is made."""
        self._server = server
        self._folder = folder
        folder.mkdir()
        server.pause()  # what it had written by then is whole
        try:
            for written in self._written():
                _copy(written, folder / written.name)
        finally:
            server.resume()

    def back(self) -> None:
        """Kill the server, and start it with what it had written then."""
        self._server.kill()
        for written in self._written():
            shutil.rmtree(written) if written.is_dir() else written.unlink()
        for kept in self._folder.iterdir():
            _copy(kept, self._server.directory / kept.name)
        self._server.start()

    def _written(self) -> list[Path]:
        """The append-only file, or the folder of its parts."""
        return list(self._server.directory.glob("appendonly*"))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
