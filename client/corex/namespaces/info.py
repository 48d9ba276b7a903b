"""`node.info`."""

from __future__ import annotations

from corex.ask import ASK_TIMEOUT
from corex.namespaces.namespace import AsyncNamespace, Namespace
from corex.questions.info import (
    Cpus,
    Disks,
    MemoryInfo,
    Nics,
    OsInfo,
    Ports,
    VersionInfo,
    cpu_info,
    disk_info,
    memory_info,
    nic_info,
    os_info,
    port_info,
    version_info,
)


class Info(Namespace):
    """What a node's machine is and has. What its heartbeat says is at `Node.presence`."""

    __slots__ = ()

    def cpu(self, *, timeout: float = ASK_TIMEOUT) -> Cpus:
        """Read the processors."""
        return self._ask(cpu_info(), timeout)

    def mem(self, *, timeout: float = ASK_TIMEOUT) -> MemoryInfo:
        """Read the memory, in bytes."""
        return self._ask(memory_info(), timeout)

    def disk(self, *, timeout: float = ASK_TIMEOUT) -> Disks:
        """Read the file systems that are on disks."""
        return self._ask(disk_info(), timeout)

    def nic(self, *, timeout: float = ASK_TIMEOUT) -> Nics:
        """Read the network interfaces."""
        return self._ask(nic_info(), timeout)

    def os(self, *, timeout: float = ASK_TIMEOUT) -> OsInfo:
        """Read the operating system."""
        return self._ask(os_info(), timeout)

    def port(self, *, timeout: float = ASK_TIMEOUT) -> Ports:
        """Read who listens: tcp, udp and unix sockets."""
        return self._ask(port_info(), timeout)

    def version(self, *, timeout: float = ASK_TIMEOUT) -> VersionInfo:
        """Read the version of the agent."""
        return self._ask(version_info(), timeout)


class AsyncInfo(AsyncNamespace):
    """`Info` with coroutines."""

    __slots__ = ()

    async def cpu(self, *, timeout: float = ASK_TIMEOUT) -> Cpus:
        """Read the processors."""
        return await self._ask(cpu_info(), timeout)

    async def mem(self, *, timeout: float = ASK_TIMEOUT) -> MemoryInfo:
        """Read the memory, in bytes."""
        return await self._ask(memory_info(), timeout)

    async def disk(self, *, timeout: float = ASK_TIMEOUT) -> Disks:
        """Read the file systems that are on disks."""
        return await self._ask(disk_info(), timeout)

    async def nic(self, *, timeout: float = ASK_TIMEOUT) -> Nics:
        """Read the network interfaces."""
        return await self._ask(nic_info(), timeout)

    async def os(self, *, timeout: float = ASK_TIMEOUT) -> OsInfo:
        """Read the operating system."""
        return await self._ask(os_info(), timeout)

    async def port(self, *, timeout: float = ASK_TIMEOUT) -> Ports:
        """Read who listens: tcp, udp and unix sockets."""
        return await self._ask(port_info(), timeout)

    async def version(self, *, timeout: float = ASK_TIMEOUT) -> VersionInfo:
        """Read the version of the agent."""
        return await self._ask(version_info(), timeout)
