"""The network interfaces, see sysfs-class-net and netdevice(7)."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from corex_node.machine.files import ROOT, read_number, read_text

_FLAGS = {
    "up": "up",
    "broadcast": "broadcast",
    "loopback": "loopback",
    "pointopoint": "pointtopoint",
    "multicast": "multicast",
}
"""Flags by the kernel's names → by those of Go, in its order."""
_INTERNET = (socket.AF_INET, socket.AF_INET6)


class Address(NamedTuple):
    """An address of an interface; `mask` is None where the kind has none."""

    family: int
    address: str
    mask: str | None


class Interface(NamedTuple):
    """What the kernel says of an interface when asked.

    Attributes:
        name: of the interface.
        mtu: bytes.
        flags: by the kernel's names.
        addresses: of all families.
    """

    name: str
    mtu: int
    flags: frozenset[str]
    addresses: Sequence[Address] = ()


def list_interfaces() -> list[Interface]:
    """Ask the kernel for the interfaces of this network namespace, in the order of their making.

    Blocks.
    """
    import psutil

    addresses: dict[str, list[Address]] = {}
    for label, found in psutil.net_if_addrs().items():
        name = label.partition(":")[0]  # a label may be added to an interface's name
        known = addresses.setdefault(name, [])
        known += (Address(one.family, one.address, one.netmask) for one in found)
    states = psutil.net_if_stats()
    names = [name for _, name in sorted(socket.if_nameindex()) if name in states]
    return [
        Interface(
            name,
            states[name].mtu,
            frozenset(states[name].flags.split(",")),
            addresses.get(name, ()),
        )
        for name in names
    ]


def describe_interfaces(interfaces: Iterable[Interface], root: Path = ROOT) -> list[dict[str, Any]]:
    """Describe interfaces, in the shape of 0-core.

    `speed` is Mbit/s. It, `carrier` and `operstate` are None when the driver does not tell, as none
    tells the first two of an interface that is down. Blocks.
    """
    return [
        _describe(interface, root / "sys/class/net" / interface.name) for interface in interfaces
    ]


def _describe(interface: Interface, folder: Path) -> dict[str, Any]:
    speed, carrier = read_number(folder / "speed"), read_number(folder / "carrier")
    return {
        "mtu": interface.mtu,
        "name": interface.name,
        "hardwareaddr": _hardware_address(interface.addresses),
        "flags": [ours for name, ours in _FLAGS.items() if name in interface.flags],
        "addrs": [
            {"addr": _with_prefix(address)}
            for address in interface.addresses
            if address.family in _INTERNET
        ],
        "speed": None if speed is None or speed < 0 else speed,  # -1: the driver does not know
        "carrier": None if carrier is None else bool(carrier),
        "operstate": read_text(folder / "operstate").strip() or None,
    }


def _hardware_address(addresses: Iterable[Address]) -> str:
    """Take the hardware's address; empty where it is all zeros, as the loopback's."""
    for address in addresses:
        if address.family == socket.AF_PACKET and address.address.strip("0:"):
            return address.address
    return ""


def _with_prefix(address: Address) -> str:
    """Write an address as CIDR does; without the scope, which is the interface."""
    plain = address.address.partition("%")[0]
    if not address.mask:
        return plain
    family = socket.AF_INET if address.family == socket.AF_INET else socket.AF_INET6
    mask = socket.inet_pton(family, address.mask)
    return f"{plain}/{int.from_bytes(mask, 'big').bit_count()}"
