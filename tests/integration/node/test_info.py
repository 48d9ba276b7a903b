"""`info.*` over the wire, against what others say of the same machine."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from corex_shared.keys import Keys
from corex_shared.version import __version__
from tests.helpers.nodes import RunNode
from tests.helpers.wire import Wire

COMMANDS = ("cpu", "mem", "disk", "nic", "os", "port", "version")
NOBODY = 65534
MIB = 1024 * 1024


def _answer(wire: Wire, command: str) -> Any:
    result = wire.result(wire.push(command, control=True))
    assert (result["state"], result["level"]) == ("SUCCESS", 20), result
    return json.loads(result["data"])


def _run(*argv: str) -> str:
    if shutil.which(argv[0]) is None:
        pytest.skip(f"no {argv[0]} here")
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_each_processor_is_told(wire: Wire) -> None:
    """With its number, speed and abilities."""
    processors = _answer(wire, "info.cpu")
    assert len(processors) == psutil.cpu_count()
    numbers = {int(line) for line in _run("lscpu", "-p=CPU").splitlines() if line.isdecimal()}
    assert {processor["cpu"] for processor in processors} == numbers
    shown = Path("/proc/cpuinfo").read_text()
    for processor in processors:
        assert set(processor) == {
            *("cpu", "vendorId", "family", "model", "stepping", "physicalId", "coreId", "cores"),
            *("modelName", "mhz", "cacheSize", "flags", "microcode"),
        }
        assert processor["cores"] == 1
        assert processor["modelName"] in shown
        assert set(processor["flags"]) <= set(shown.split())


def test_the_memory_is_that_of_the_machine(wire: Wire) -> None:
    """In bytes; what changes is near to what another saw a moment later."""
    memory = _answer(wire, "info.mem")
    other = psutil.virtual_memory()
    assert memory["total"] == other.total
    for name in ("free", "available", "cached", "buffers", "active", "inactive", "slab", "shared"):
        assert memory[name] == pytest.approx(getattr(other, name), rel=0.1, abs=256 * MIB), name
    parts = memory["used"] + memory["free"] + memory["buffers"] + memory["cached"]
    assert parts == memory["total"]
    assert memory["usedPercent"] == pytest.approx(100 * memory["used"] / memory["total"])


def test_disks_are_the_physical_ones(wire: Wire) -> None:
    """As another lists them, options included."""
    disks = _answer(wire, "info.disk")
    others = psutil.disk_partitions(all=False)
    assert disks == [
        {"device": one.device, "mountpoint": one.mountpoint, "fstype": one.fstype, "opts": one.opts}
        for one in others
        if one.device
    ]


def test_network_interfaces_are_those_that_ip_shows(wire: Wire) -> None:
    """Addresses with their prefixes; what the driver does not tell is null."""
    nics = {nic["name"]: nic for nic in _answer(wire, "info.nic")}
    others = {one["ifname"]: one for one in json.loads(_run("ip", "-j", "address"))}
    assert list(nics) == list(others)
    for name, nic in nics.items():
        other = others[name]
        assert nic["mtu"] == other["mtu"]
        hardware = other.get("address", "")
        assert nic["hardwareaddr"] == (hardware if hardware.strip("0:") else "")
        assert {one["addr"] for one in nic["addrs"]} == {
            f"{one['local']}/{one['prefixlen']}" for one in other["addr_info"]
        }
        assert nic["operstate"] == other["operstate"].lower()
        flags = {flag.lower().replace("pointopoint", "pointtopoint") for flag in other["flags"]}
        assert set(nic["flags"]) == flags & {
            *("up", "broadcast", "loopback", "pointtopoint", "multicast")
        }
        assert nic["carrier"] is (("NO-CARRIER" not in other["flags"]) if "up" in flags else None)
        assert nic["speed"] is None or nic["speed"] >= 0
    assert {"127.0.0.1/8", "::1/128"} & {one["addr"] for one in nics["lo"]["addrs"]}
    assert nics["lo"]["speed"] is None


def test_the_operating_system(wire: Wire) -> None:
    """Names and ages as others tell them."""
    system = _answer(wire, "info.os")
    assert system["hostname"] == socket.gethostname()
    assert system["kernelVersion"] == platform.release()
    assert system["os"] == "linux"
    assert system["bootTime"] == pytest.approx(psutil.boot_time(), abs=1)
    assert system["uptime"] == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=5)
    assert system["procs"] == pytest.approx(len(psutil.pids()), abs=50)
    release = platform.freedesktop_os_release()
    assert release["ID"] in (system["platform"], "rhel", "ol", "amzn", "sles")
    assert system["platformVersion"].startswith(release.get("VERSION_ID", ""))
    assert system["virtualizationRole"] in ("", "guest", "host")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", system["hostid"])


def test_ports_that_listen_have_their_process(wire: Wire, tmp_path: Path) -> None:
    """Of each kind, once; what is connected, or has no name, does not listen."""
    stream, datagram = str(tmp_path / "a b.sock"), str(tmp_path / "log")
    abstract = f"corex-{wire.new_id()}"
    with ExitStack() as stack:

        def bound(family: int, kind: int, address: Any, listens: bool = True) -> socket.socket:
            made = stack.enter_context(closing(socket.socket(family, kind)))
            made.bind(address)
            if kind == socket.SOCK_STREAM and listens:
                made.listen()
            return made

        tcp = bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        udp = bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        tcp6 = bound(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))
        udp6 = bound(socket.AF_INET6, socket.SOCK_DGRAM, ("::", 0))
        bound(socket.AF_UNIX, socket.SOCK_STREAM, stream)
        bound(socket.AF_UNIX, socket.SOCK_DGRAM, datagram)
        bound(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}")
        bound(socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "deaf"), listens=False)
        stack.enter_context(closing(socket.create_connection(tcp.getsockname())))
        stack.enter_context(closing(tcp.accept()[0]))
        connected = bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        connected.connect(udp.getsockname())

        expected = [
            ("tcp", "127.0.0.1", tcp.getsockname()[1], ""),
            ("tcp6", "::1", tcp6.getsockname()[1], ""),
            ("udp", "127.0.0.1", udp.getsockname()[1], ""),
            ("udp6", "::", udp6.getsockname()[1], ""),
            *(("unix", "", 0, name) for name in sorted((stream, datagram, f"@{abstract}"))),
        ]
        ports = _answer(wire, "info.port")
    mine = sorted(
        (port["network"], port["ip"], port["port"], port["unix"])
        for port in ports
        if port["pid"] == os.getpid()
    )
    assert mine == expected
    assert all(set(port) == {"network", "port", "unix", "ip", "pid"} for port in ports)


def test_a_port_of_another_whom_the_agent_may_not_look_into(
    run_node: RunNode, raw: redis.Redis, keys: Keys
) -> None:
    """It is listed, and its process is null."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("it takes root, which gives abilities away")
    run_node("n1", prefix=["setpriv", "--bounding-set=-sys_ptrace"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        argv = ["sleep", "60"]
        holder = subprocess.Popen(argv, user=NOBODY, pass_fds=[listener.fileno()])
    try:
        ports = _answer(Wire(raw, keys, "n1"), "info.port")
        assert [port["pid"] for port in ports if port["port"] == number] == [None]
    finally:
        holder.kill()
        holder.wait()


def test_the_version_is_that_of_the_package(wire: Wire) -> None:
    """And of the same agent that answers a ping."""
    version = _answer(wire, "info.version")
    assert version["version"] == __version__
    assert version["version"] in wire.result(wire.push("core.ping"))["data"]
    assert isinstance(version["branch"], str)
    assert re.fullmatch(r"[0-9a-f]*", version["revision"])
    assert version["dirty"] is False


def test_none_takes_an_argument(wire: Wire) -> None:
    """It is a bad request that names it."""
    jobs = [wire.push(f"info.{name}", {"verbose": True}, control=True) for name in COMMANDS]
    for result in wire.results(jobs).values():
        assert (result["state"], result["code"]) == ("ERROR", 400)
        assert json.loads(result["data"]).startswith("verbose: ")
