"""The drivers of plans: the only part of the client that talks to Redis."""

from corex.transport.asynchronous import AsyncTransport
from corex.transport.blocking import SyncTransport

__all__ = ["AsyncTransport", "SyncTransport"]
