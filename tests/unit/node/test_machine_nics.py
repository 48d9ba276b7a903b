"""Network interfaces, as the kernel answers and as sysfs tells."""

from __future__ import annotations

import socket
from pathlib import Path

from corex_node.machine.nics import Address, Interface, describe_interfaces
from tests.helpers.tree import plant

ETHERNET = Interface(
    "eth0",
    1500,
    frozenset({"multicast", "up", "running", "broadcast"}),
    [
        Address(socket.AF_INET, "192.0.2.7", "255.255.240.0"),
        Address(socket.AF_INET6, "fe80::1%eth0", "ffff:ffff:ffff:ffff::"),
        Address(socket.AF_PACKET, "52:54:00:00:00:01", None),
    ],
)
TUNNEL = Interface(
    "tun0",
    1400,
    frozenset({"pointopoint"}),
    [Address(socket.AF_INET6, "2001:db8::1", None), Address(socket.AF_PACKET, "00:00", None)],
)


def test_an_interface_with_a_link(tmp_path: Path) -> None:
    files = {"speed": "1000\n", "carrier": "1\n", "operstate": "up\n"}
    root = plant(tmp_path, {f"sys/class/net/eth0/{name}": text for name, text in files.items()})
    assert describe_interfaces([ETHERNET], root) == [
        {
            "mtu": 1500,
            "name": "eth0",
            "hardwareaddr": "52:54:00:00:00:01",
            "flags": ["up", "broadcast", "multicast"],
            "addrs": [{"addr": "192.0.2.7/20"}, {"addr": "fe80::1/64"}],
            "speed": 1000,
            "carrier": True,
            "operstate": "up",
        }
    ]


def test_what_the_driver_does_not_tell_is_null(tmp_path: Path) -> None:
    """Files that cannot be read, as of an interface that is down; a speed of -1."""
    files = {"sys/class/net/eth0/speed": "-1\n", "sys/class/net/eth0/carrier": "0\n"}
    root = plant(tmp_path, files)
    (root / "sys/class/net/tun0/speed").mkdir(parents=True)  # an error other than "not there"
    ethernet, tunnel = describe_interfaces([ETHERNET, TUNNEL], root)
    assert (ethernet["speed"], ethernet["carrier"], ethernet["operstate"]) == (None, False, None)
    assert (tunnel["speed"], tunnel["carrier"], tunnel["operstate"]) == (None, None, None)


def test_flags_have_their_names_in_go_and_no_hardware_has_no_address(tmp_path: Path) -> None:
    (tunnel,) = describe_interfaces([TUNNEL], tmp_path)
    assert tunnel["flags"] == ["pointtopoint"]
    assert tunnel["hardwareaddr"] == ""
    assert tunnel["addrs"] == [{"addr": "2001:db8::1"}]
