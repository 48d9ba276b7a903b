"""What is asked of nodes by each namespace, and how the answers are read."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from corex import (
    CpuInfo,
    DiskInfo,
    FileEntry,
    FileStat,
    JobCommand,
    JobEntry,
    MemoryInfo,
    NicAddress,
    NicInfo,
    OsInfo,
    PortInfo,
    ProcessEntry,
    QueueEntry,
    Stat,
    StatTag,
    StatWindow,
    Usage,
    VersionInfo,
)
from corex.ask import Question
from corex.questions import files, info, jobs, processes, queues, stats
from corex_shared.errors import DecodeError
from corex_shared.states import Level
from tests.unit.client.playing import result_of

FD = "d1"
WINDOW = {"avg": 1, "total": 2.5, "max": 3, "count": 4, "start": 5}

ASKED: list[tuple[Question[Any], str, dict[str, Any]]] = [
    (jobs.list_jobs(None), "job.list", {}),
    (jobs.list_jobs("a"), "job.list", {"id": "a"}),
    (jobs.kill_job("a", 9), "job.kill", {"id": "a", "signal": 9}),
    (jobs.unschedule_job("a"), "job.unschedule", {"id": "a"}),
    (jobs.kill_all_jobs(), "job.killall", {}),
    (queues.list_queues(), "queue.list", {}),
    (queues.release_queue("q", "node"), "queue.release", {"queue": "q"}),
    (queues.release_queue("q", "fleet"), "queue.release", {"queue": "q", "scope": "fleet"}),
    (processes.list_processes(None), "process.list", {}),
    (processes.list_processes(7), "process.list", {"pid": 7}),
    (processes.kill_process(7, 15), "process.kill", {"pid": 7, "signal": 15}),
    (info.cpu_info(), "info.cpu", {}),
    (info.memory_info(), "info.mem", {}),
    (info.disk_info(), "info.disk", {}),
    (info.nic_info(), "info.nic", {}),
    (info.os_info(), "info.os", {}),
    (info.port_info(), "info.port", {}),
    (info.version_info(), "info.version", {}),
    (stats.query_stats(None, None), "aggregator.query", {}),
    (stats.query_stats("k", {"id": "a"}), "aggregator.query", {"key": "k", "tags": {"id": "a"}}),
    (stats.monitor("cpu"), "monitor", {"domain": "cpu"}),
    (stats.node_usage(), "core.state", {}),
]

FILES: list[tuple[Question[Any], str, dict[str, Any]]] = [
    (files.open_file("/a", "r", None), "open", {"file": "/a", "mode": "r"}),
    (files.open_file("/a", "w", 0o600), "open", {"file": "/a", "mode": "w", "perm": 0o600}),
    (files.read_file(FD, None, None), "read", {"fd": FD}),
    (files.read_file(FD, 5, 0), "read", {"fd": FD, "size": 5, "offset": 0}),
    (files.write_file(FD, b"\0\xff", None), "write", {"fd": FD, "block": "AP8="}),
    (files.write_file(FD, bytearray(b""), 0), "write", {"fd": FD, "block": "", "offset": 0}),
    (files.close_file(FD), "close", {"fd": FD}),
    (files.path_exists("/a"), "exists", {"path": "/a"}),
    (files.list_directory("/a"), "list", {"path": "/a"}),
    (files.make_directory("/a"), "mkdir", {"path": "/a"}),
    (files.remove_path("/a"), "remove", {"path": "/a"}),
    (files.move_path("/a", "/b"), "move", {"path": "/a", "destination": "/b"}),
    (files.stat_path("/a"), "stat", {"path": "/a"}),
    (files.checksum_file("/a", "md5"), "checksum", {"path": "/a", "algorithm": "md5"}),
    (
        files.change_mode("/a", 0o644, recursive=True),
        "chmod",
        {"path": "/a", "mode": 0o644, "recursive": True},
    ),
    (
        files.change_owner("/a", "u", "g"),
        "chown",
        {"path": "/a", "user": "u", "group": "g", "recursive": False},
    ),
]


def _sent(question: Question[Any]) -> dict[str, Any]:
    return {name: value for name, value in question.arguments.items() if value is not None}


@pytest.mark.parametrize("question, command, arguments", ASKED, ids=lambda value: str(value)[:30])
def test_short_questions_go_past_other_commands(
    question: Question[Any], command: str, arguments: dict[str, Any]
) -> None:
    assert (question.command, _sent(question)) == (command, arguments)
    assert question.control


@pytest.mark.parametrize("question, command, arguments", FILES, ids=lambda value: str(value)[:30])
def test_work_with_files_waits_its_turn(
    question: Question[Any], command: str, arguments: dict[str, Any]
) -> None:
    assert (question.command, _sent(question)) == (f"filesystem.{command}", arguments)
    assert not question.control
    assert question.bulky is (command == "read")


ANSWERS: list[tuple[Question[Any], Any, Any]] = [
    (
        jobs.list_jobs(None),
        [{"cmd": {"id": "a", "command": "bash", "arguments": {"x": 1}}, "stage": "waiting"}],
        [JobEntry(JobCommand("a", "bash", {"x": 1}), "waiting")],
    ),
    (jobs.kill_job("a", 9), True, True),
    (
        queues.list_queues(),
        [{"queue": "q", "holder": "a", "waiters": ["b"]}],
        [QueueEntry("q", "a", waiters=["b"])],
    ),
    (
        queues.list_queues(),
        [
            {
                "queue": "q",
                "scope": "fleet",
                "node": "n2",
                "holder": "a",
                "token": 7,
                "since": 5,
                "waiters": ["n1/b"],
            }
        ],
        [QueueEntry("q", "a", waiters=["n1/b"], scope="fleet", node="n2", token=7, since=5)],
    ),
    (processes.list_processes(1), [], []),
    (processes.list_processes(1), [{"pid": 1, "ppid": 0}], [ProcessEntry(1, 0)]),
    (info.cpu_info(), [{"cpu": 0, "modelName": "fast"}], [CpuInfo(0, model_name="fast")]),
    (
        info.memory_info(),
        {"total": 4, "available": 3, "used": 2, "free": 1, "usedPercent": 50},
        MemoryInfo(4, 3, 2, 1, 50.0),
    ),
    (info.disk_info(), [{"device": "/dev/a", "mountpoint": "/"}], [DiskInfo("/dev/a", "/")]),
    (
        info.nic_info(),
        [{"name": "lo", "addrs": [{"addr": "127.0.0.1/8"}]}],
        [NicInfo("lo", addrs=[NicAddress("127.0.0.1/8")])],
    ),
    (
        info.os_info(),
        {"hostname": "h", "os": "linux", "kernelVersion": "6", "bootTime": 5},
        OsInfo("h", "linux", kernel_version="6", boot_time=5),
    ),
    (info.port_info(), [{"network": "tcp", "port": 80}], [PortInfo("tcp", 80)]),
    (info.version_info(), {"version": "1", "branch": ""}, VersionInfo("1")),
    (
        stats.query_stats(None, None),
        {
            "k/a": {
                "op": "A",
                "last_value": 1,
                "last_time": 2,
                "tags": [{"key": "id", "value": "a"}],
                "current": {"300": WINDOW},
                "history": {"300": [WINDOW]},
            }
        },
        {
            "k/a": Stat(
                "A",
                1.0,
                2,
                [StatTag("id", "a")],
                {300: StatWindow(1, 2.5, 3, 4, 5)},
                {300: [StatWindow(1, 2.5, 3, 4, 5)]},
            )
        },
    ),
    (stats.monitor("cpu"), None, None),
    (stats.node_usage(), {"cpu": 1, "rss": 2, "vms": 3, "swap": 4}, Usage(1, 2, 3, 4)),
    (files.open_file("/a", "r", None), FD, FD),
    (files.read_file(FD, None, None), base64.b64encode(b"\0\xff").decode(), b"\0\xff"),
    (files.read_file(FD, None, None), "", b""),
    (files.write_file(FD, b"", None), None, None),
    (files.path_exists("/a"), False, False),
    (
        files.list_directory("/a"),
        [{"name": "b", "size": 1, "mode": 0o644, "is_dir": False}],
        [FileEntry("b", 1, 0o644, False)],
    ),
    (
        files.stat_path("/a"),
        {"size": 1, "mode": 0o644, "is_dir": False, "mtime": 5, "user": "u"},
        FileStat(1, 0o644, False, mtime=5, user="u"),
    ),
    (files.checksum_file("/a", "md5"), "00ff", "00ff"),
]


def _read(question: Question[Any], answer: Any) -> Any:
    data = msgspec.json.encode(answer).decode()
    return question.read(result_of("x", data=data, level=Level.JSON))


@pytest.mark.parametrize("question, answer, expected", ANSWERS, ids=lambda value: str(value)[:30])
def test_answers_are_read(question: Question[Any], answer: Any, expected: Any) -> None:
    assert _read(question, answer) == expected


@pytest.mark.parametrize("question", [question for question, _, _ in ASKED + FILES])
@pytest.mark.parametrize("answer", [{"a": {"b": 1}}, [1], [[]], 1.5, 10**40])
def test_answers_of_another_form_are_refused(question: Question[Any], answer: Any) -> None:
    with pytest.raises(DecodeError, match=r"^answer"):
        _read(question, answer)
