"""What node and client share: models, states, keys, codec, errors and the way to Redis.

Nothing here imports the node or the client, and only `connection` does input or output.
"""

from corex_shared.version import __version__

__all__ = ["__version__"]
