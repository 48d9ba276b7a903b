"""`info.cpu`, `info.mem`, `info.disk`, `info.nic`, `info.os`, `info.port`, `info.version`.

The answers have the shapes of 0-core, whose are those of gopsutil. Most nodes are never asked: what
reads the machine is imported when one is, and takes no memory before.
"""

from __future__ import annotations

from typing import Any

from corex_node.manager.registry import NoArguments, Registry
from corex_shared.version import __version__


def register(registry: Registry) -> None:
    """Add the commands to a registry; all are run in threads."""
    answers = {
        "info.cpu": cpu,
        "info.mem": mem,
        "info.disk": disk,
        "info.nic": nic,
        "info.os": os,
        "info.port": port,
        "info.version": version,
    }
    for name, answer in answers.items():
        registry.command(name, NoArguments, repeatable=True)(answer)


def cpu(_: NoArguments) -> list[dict[str, Any]]:
    """Describe each logical processor."""
    from corex_node.machine.cpu import read_processors

    return read_processors()


def mem(_: NoArguments) -> dict[str, int | float]:
    """Describe the memory, in bytes."""
    from corex_node.machine.memory import read_memory

    return read_memory()


def disk(_: NoArguments) -> list[dict[str, str]]:
    """List the mounts of file systems on disks."""
    from corex_node.machine.disks import read_disks

    return read_disks()


def nic(_: NoArguments) -> list[dict[str, Any]]:
    """List the network interfaces with their addresses."""
    from corex_node.machine.nics import describe_interfaces, list_interfaces

    return describe_interfaces(list_interfaces())


def os(_: NoArguments) -> dict[str, Any]:
    """Describe the operating system."""
    from corex_node.machine.system import read_system

    return read_system()


def port(_: NoArguments) -> list[dict[str, Any]]:
    """List the sockets that listen, with the processes that hold them."""
    from corex_node.machine.ports import read_ports

    return read_ports()


def version(_: NoArguments) -> dict[str, Any]:
    """Tell what the agent is: its version, and the revision that it was installed from."""
    from corex_node.machine.source import read_source

    branch, revision = read_source()
    return {"branch": branch, "revision": revision, "dirty": False, "version": __version__}
