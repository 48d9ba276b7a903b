"""Mounts of file systems on disks."""

from __future__ import annotations

from pathlib import Path

from corex_node.machine.disks import read_disks
from tests.helpers.tree import plant

FILESYSTEMS = "nodev\tsysfs\nnodev\ttmpfs\nnodev\toverlay\n\text4\n\tvfat\n"
MOUNTS = """\
sysfs /sys sysfs rw,nosuid 0 0
/dev/sda2 / ext4 rw,relatime 0 0
tmpfs /run tmpfs rw 0 0
overlay /var/lib/x overlay rw,lowerdir=/a 0 0
/dev/sdb1 /mnt/my\\040disk\\134é vfat ro 0 0
pool/data /data zfs rw 0 0
none /odd ext4 rw 0 0
/dev/short
"""


def test_only_what_needs_a_device_is_listed(tmp_path: Path) -> None:
    files = {"proc/filesystems": FILESYSTEMS, "proc/self/mounts": MOUNTS}
    found = read_disks(plant(tmp_path, files))
    assert [tuple(disk.values()) for disk in found] == [
        ("/dev/sda2", "/", "ext4", "rw,relatime"),
        ("/dev/sdb1", "/mnt/my disk\\é", "vfat", "ro"),
        ("pool/data", "/data", "zfs", "rw"),
    ]
    assert list(found[0]) == ["device", "mountpoint", "fstype", "opts"]


def test_a_name_cannot_pretend_to_be_another_line(tmp_path: Path) -> None:
    """Only the line end is written otherwise in a name; what else ends lines of a text is in it."""
    mounts = "/dev/sda2 /srv\x0c/dev/evil\u2028/x ext4 rw 0 0\n"
    files = {"proc/filesystems": FILESYSTEMS, "proc/self/mounts": mounts}
    (disk,) = read_disks(plant(tmp_path, files))
    assert disk["mountpoint"] == "/srv\x0c/dev/evil\u2028/x"


def test_no_files_are_no_disks(tmp_path: Path) -> None:
    assert read_disks(tmp_path) == []
    assert read_disks(plant(tmp_path, {"proc/self/mounts": MOUNTS.partition("pool")[0]})) == []
