"""What the operating system says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from corex_node.machine.system import read_system
from corex_node.machine.virtualization import find_virtualization
from tests.helpers.tree import plant

UBUNTU = """\
PRETTY_NAME="Ubuntu 22.04.4 LTS"
NAME="Ubuntu"
VERSION_ID="22.04"
VERSION="22.04.4 LTS (Jammy Jellyfish)"
ID=ubuntu
ID_LIKE=debian
"""
PROC = {
    "proc/sys/kernel/hostname": "web1\n",
    "proc/sys/kernel/osrelease": "5.15.0-105-generic\n",
    "proc/sys/kernel/random/boot_id": "97983670-f5ad-4ba7-a6a5-847490ff5145\n",
    "proc/uptime": "12345.67 23456.78\n",
    "proc/stat": "cpu  1 2 3\nintr 5 btime 3\nbtime 1700000000\nprocesses 99\n",
    "proc/1/stat": "",
    "proc/24/stat": "",
}
BOARD = "4C4C4544-0042-3510-8052-B4C04F4E4D32"
MACHINE = "3d1219c7c4c5404aaa1f6d2a48adfda4"


def test_all_of_it(tmp_path: Path) -> None:
    root = plant(tmp_path, {**PROC, "etc/os-release": UBUNTU, "etc/debian_version": "bookworm/sid"})
    assert read_system(root) == {
        "hostname": "web1",
        "uptime": 12345,
        "bootTime": 1700000000,
        "procs": 2,
        "os": "linux",
        "platform": "ubuntu",
        "platformFamily": "debian",
        "platformVersion": "22.04",
        "kernelVersion": "5.15.0-105-generic",
        "virtualizationSystem": "",
        "virtualizationRole": "",
        "hostid": "97983670-f5ad-4ba7-a6a5-847490ff5145",
    }


@pytest.mark.parametrize(
    "release, platform",
    [
        ('ID=debian\nVERSION_ID="12"\n', ("debian", "debian", "12.5")),
        ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.3"\n', ("redhat", "rhel", "9.3")),
        ("ID='rocky'\nID_LIKE='rhel centos fedora'\nVERSION_ID=9.3\n", ("rocky", "rhel", "9.3")),
        ('ID="amzn"\nVERSION_ID="2023"\n', ("amazon", "rhel", "2023")),
        ("ID=alpine\nVERSION_ID=3.19.1\n", ("alpine", "alpine", "3.19.1")),
        ("ID=arch\nBUILD_ID=rolling\n", ("arch", "arch", "")),
        ("", ("", "", "")),
    ],
)
def test_platforms_have_the_names_that_gopsutil_gives_them(
    tmp_path: Path, release: str, platform: tuple[str, str, str]
) -> None:
    files = {"usr/lib/os-release": release, "etc/debian_version": "12.5\n"}
    system = read_system(plant(tmp_path, files))
    names = ("platform", "platformFamily", "platformVersion")
    assert tuple(system[name] for name in names) == platform


def test_the_board_names_the_machine_before_the_installation_does(tmp_path: Path) -> None:
    root = plant(tmp_path, {**PROC, "etc/machine-id": f"{MACHINE}\n"})
    assert read_system(root)["hostid"] == "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4"
    plant(root, {"sys/class/dmi/id/product_uuid": f"{BOARD}\n"})
    assert read_system(root)["hostid"] == BOARD.lower()
    plant(root, {"sys/class/dmi/id/product_uuid": "Not Settable\n", "etc/machine-id": "\n"})
    assert read_system(root)["hostid"] == "97983670-f5ad-4ba7-a6a5-847490ff5145"


def test_no_files_are_empty_values(tmp_path: Path) -> None:
    system = read_system(tmp_path)
    assert system.pop("os") == "linux"
    assert set(system.values()) == {"", 0}


VENDOR, PRODUCT = "sys/class/dmi/id/sys_vendor", "sys/class/dmi/id/product_name"
GUEST_FLAGS = {"proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu hypervisor sse\n"}


@pytest.mark.parametrize(
    "files, found",
    [
        ({}, ("", "")),
        ({"proc/cpuinfo": "flags\t\t: fpu\nmodel name\t: hypervisor\n"}, ("", "")),
        (GUEST_FLAGS, ("", "guest")),
        ({"proc/cpuinfo": "model name\t: QEMU Virtual CPU version 2.5+\n"}, ("kvm", "guest")),
        ({VENDOR: "QEMU\n", PRODUCT: "Standard PC (Q35 + ICH9, 2009)\n"}, ("kvm", "guest")),
        ({VENDOR: "Amazon EC2\n", PRODUCT: "m5.large\n"}, ("kvm", "guest")),
        ({VENDOR: "Amazon EC2\n", PRODUCT: "m5.metal\n"}, ("", "")),
        ({VENDOR: "VMware, Inc.\n", **GUEST_FLAGS}, ("vmware", "guest")),
        ({VENDOR: "innotek GmbH\n", PRODUCT: "VirtualBox\n"}, ("vbox", "guest")),
        ({VENDOR: "Microsoft Corporation\n", PRODUCT: "Virtual Machine\n"}, ("hyperv", "guest")),
        ({VENDOR: "Microsoft Corporation\n", PRODUCT: "Surface Pro\n"}, ("", "")),
        ({"proc/modules": "kvm_intel 1 0 -, Live\nkvm 1 1 -, Live\n"}, ("kvm", "host")),
        ({"proc/modules": "not_kvm 1 0 kvm, Live\n"}, ("", "")),
        ({"proc/modules": "kvm 1 1 -, Live\n", VENDOR: "QEMU\n"}, ("kvm", "guest")),
        ({"proc/xen/capabilities": "control_d\n"}, ("xen", "host")),
        ({"sys/hypervisor/type": "xen\n"}, ("xen", "guest")),
        ({"proc/vz/veinfo": ""}, ("openvz", "guest")),
        ({"proc/vz/veinfo": "", "proc/bc/0/resources": ""}, ("openvz", "host")),
        ({".dockerenv": "", VENDOR: "QEMU\n"}, ("docker", "guest")),
        ({"run/.containerenv": ""}, ("podman", "guest")),
        ({"run/systemd/container": "systemd-nspawn\n"}, ("systemd-nspawn", "guest")),
        ({"proc/self/cgroup": "5:cpu:/docker/0123456789ab\n"}, ("docker", "guest")),
        ({"proc/self/cgroup": "0::/system.slice/docker-01ab.scope\n"}, ("docker", "guest")),
        ({"proc/self/cgroup": "0::/machine.slice/libpod-01ab.scope\n"}, ("podman", "guest")),
        ({"proc/self/cgroup": "0::/lxc.payload.web/x\n"}, ("lxc", "guest")),
        ({"proc/self/cgroup": "0::/system.slice/docker.service\n"}, ("", "")),
        ({"proc/self/cgroup": "0::/lxc.monitor.web\n"}, ("", "")),
    ],
)
def test_virtualization(tmp_path: Path, files: dict[str, str], found: tuple[str, str]) -> None:
    """The innermost is told: a container in a virtual machine is a container."""
    assert find_virtualization(plant(tmp_path, files)) == found
