"""Everything that a job started is ended with it, wherever it went and whatever it ignores."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import redis

from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.marked import marked_with
from tests.helpers.nodes import RunNode
from tests.helpers.processes import is_gone
from tests.helpers.wire import Wire

_STUBBORN = 'trap "" TERM HUP INT; sleep 300 & wait; sleep 300'
_TREE = f"""
trap '' TERM
setsid sh -c '{_STUBBORN}' &
(setsid sh -c '{_STUBBORN}' </dev/null >/dev/null 2>&1 &)
sh -c '{_STUBBORN}' &
echo ready
wait
sleep 300
"""
_STORM = """
trap '' TERM
storm() { trap '' TERM; while :; do setsid sh -c 'sleep 0.2' & sleep 0.004; done; }
storm & storm & echo ready; wait
"""


def _sleeping(job: str) -> int:
    """How many `sleep 300` of a job are programs by now.

    A child that the shell has forked, and that is not yet the program, has the shell's handlers:
    a TERM that comes at that moment is taken by a trap that is about to be forgotten.
    """
    return sum(process.cmdline() == ["sleep", "300"] for process in marked_with([job]))


def _ready(wire: Wire, job: str, processes: int = 1) -> None:
    eventually(lambda: wire.log(job), f"{job} writes")
    eventually(lambda: len(marked_with([job])) >= processes, f"{processes} processes of {job}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_tree_that_ignores_term(wire: Wire, number: int) -> None:
    """No process is left when the result is there, and none is counted as a survivor."""
    job = wire.script(_TREE, stream=True, grace=0.2)
    _ready(wire, job, 7)
    wire.push("job.kill", {"id": job, "signal": number}, control=True)
    result = wire.result(job)
    assert (result["state"], result["signal"], result["survivors"]) == ("KILLED", 9, 0)
    assert marked_with([job]) == []


def test_a_tree_whose_time_is_up(wire: Wire) -> None:
    """`max_time` ends as much as a kill does."""
    job = wire.script(_TREE, max_time=0.5, grace=0.2)
    result = wire.result(job)
    assert (result["state"], result["survivors"]) == ("TIMEOUT", 0)
    assert marked_with([job]) == []


def test_term_reaches_those_in_other_sessions(wire: Wire, tmp_path: Path) -> None:
    """Each part of the tree is asked to end, and has the grace to clean up."""
    told = tmp_path / "told"
    polite = f'trap "echo $0 >> {told}; exit" TERM; sleep 300 & wait'
    script = f"""
trap 'wait; exit 0' TERM
setsid sh -c '{polite}' session &
(setsid sh -c '{polite}' daemon </dev/null >/dev/null 2>&1 &)
sh -c '{polite}' group &
echo ready
sleep 300 & wait
"""
    job = wire.script(script, stream=True, grace=20)
    eventually(lambda: _sleeping(job) == 4, "all have begun")
    wire.push("job.kill", {"id": job}, control=True)
    result = wire.result(job)
    assert (result["state"], result["survivors"]) == ("KILLED", 0)
    assert sorted(told.read_text().split()) == ["daemon", "group", "session"]


def test_the_grace_is_for_all_of_a_job(wire: Wire, tmp_path: Path) -> None:
    """The main process ends by TERM at once; one that cleans up has its grace all the same."""
    told = tmp_path / "told"
    cleans = (
        f'trap "sleep 0.4; echo clean > {told}; exit" TERM; echo $$; while :; do sleep 0.02; done'
    )
    job = wire.script(f"setsid sh -c '{cleans}' & exec sleep 300", stream=True, grace=20)
    _ready(wire, job, 2)
    wire.push("job.kill", {"id": job}, control=True)
    result = wire.result(job)
    assert (result["state"], result["signal"], result["survivors"]) == ("KILLED", 15, 0)
    assert told.read_text() == "clean\n"
    assert 400 <= result["time"] < 15_000


def test_kill_ends_the_grace_of_those_that_are_left(wire: Wire) -> None:
    """The main process has ended by TERM; the others do not hold up a kill that follows."""
    holds = "trap '' TERM; echo $$; while :; do sleep 0.02; done"
    job = wire.script(f'setsid sh -c "{holds}" & exec sleep 300', stream=True, grace=60)
    _ready(wire, job, 2)
    [main] = [process for process in marked_with([job]) if process.cmdline() == ["sleep", "300"]]
    wire.push("job.kill", {"id": job}, control=True)
    eventually(lambda: is_gone(main), "the main process has ended")
    assert "state" not in wire.state(job)
    wire.push("job.kill", {"id": job, "signal": 9}, control=True)
    result = wire.result(job)
    assert (result["state"], result["survivors"]) == ("KILLED", 0)
    assert marked_with([job]) == []


def test_another_signal_goes_to_the_group_only(wire: Wire, tmp_path: Path) -> None:
    """What a caller sends for its own ends does not reach other sessions."""
    told = tmp_path / "told"
    hears = f'trap "echo $0 >> {told}" USR1; echo up >> {told}.up; while :; do sleep 0.05; done'
    script = f"setsid sh -c '{hears}' session & sh -c '{hears}' group & trap '' USR1; wait; wait"
    job = wire.script(script)
    up = told.with_suffix(".up")
    eventually(lambda: up.exists() and len(up.read_text().split()) == 2, "both have begun")
    wire.push("job.kill", {"id": job, "signal": signal.SIGUSR1}, control=True)
    eventually(lambda: told.exists() and told.read_text() == "group\n", "the group hears")
    wire.push("job.kill", {"id": job, "signal": 9}, control=True)
    wire.result(job)
    assert told.read_text() == "group\n"


@pytest.mark.parametrize("ends", ["sleep 300", "true"])
def test_one_that_hides_its_mark(wire: Wire, tmp_path: Path, ends: str) -> None:
    """A daemon with an empty environment is ended with its job, killed or not."""
    told = tmp_path / "pid"
    daemon = f"echo $$ > {told}; exec sleep 300"
    hidden = f"env -i PATH=$PATH setsid sh -c '{daemon}' </dev/null >/dev/null 2>&1 &"
    job = wire.script(f"{hidden} while [ ! -s {told} ]; do sleep 0.01; done; echo ready; {ends}")
    pid = int(eventually(lambda: told.exists() and told.read_text().strip(), "the daemon's PID"))
    if ends != "true":
        wire.push("job.kill", {"id": job}, control=True)
    assert wire.result(job)["survivors"] == 0
    # Other jobs of the shared node may have run when it was born; they are over.
    eventually(lambda: is_gone(pid), "the daemon is gone")


def test_one_that_hides_its_mark_while_others_run(wire: Wire, tmp_path: Path) -> None:
    """It goes when all jobs have ended that it can be of, and those are left alone."""
    told = tmp_path / "pid"
    older = [wire.script("echo up; sleep 300", stream=True) for _ in range(4)]
    for job in older:
        _ready(wire, job)
    daemon = f"echo $$ > {told}; exec sleep 300"
    hidden = f"env -i PATH=$PATH setsid sh -c '{daemon}' </dev/null >/dev/null 2>&1 &"
    wire.result(wire.script(f"{hidden} while [ ! -s {told} ]; do sleep 0.01; done"))
    pid = int(told.read_text())
    assert not is_gone(pid)  # it might be of one of the older
    for job in older:
        assert "state" not in wire.state(job)
        wire.push("job.kill", {"id": job, "signal": 9}, control=True)
    wire.results(older)
    eventually(lambda: is_gone(pid), "the daemon is gone")


def test_a_storm_of_forks(wire: Wire) -> None:
    """A job that makes new sessions faster than one can look is ended all the same."""
    job = wire.script(_STORM, stream=True, grace=0.1)
    _ready(wire, job, 4)
    wire.push("job.kill", {"id": job}, control=True)
    result = wire.result(job)
    assert (result["state"], result["survivors"]) == ("KILLED", 0)
    assert marked_with([job]) == []


def test_a_hidden_storm_while_older_jobs_run(wire: Wire) -> None:
    """What is born without a mark while a job is killed is known as its own, and ended with it."""
    older = [wire.script("echo up; sleep 300", stream=True) for _ in range(4)]
    for job in older:
        _ready(wire, job)
    name = f"hidden-{wire.new_id()}"
    program = ["import os, time, sys", "print(1, flush=True)"]
    program += ["while True:", "  if not os.fork():", "    os.setsid()"]
    program += [f"    os.execve('/bin/sleep', ['{name}', '300'], {{}})", "  time.sleep(0.001)"]
    arguments = {"name": sys.executable, "args": ["-ISc", "\n".join(program)]}
    job = wire.push("core.system", arguments, stream=True)
    eventually(lambda: len(_called(name)) > 20, "the storm")
    wire.push("job.kill", {"id": job, "signal": 9}, control=True)
    assert wire.result(job)["survivors"] == 0
    left = _called(name)
    for process in left:
        process.kill()
    for each in older:
        wire.push("job.kill", {"id": each, "signal": 9}, control=True)
    wire.results(older)
    assert left == []


def _called(name: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cmdline()[:1] == [name] and not is_gone(process):
                found.append(process)
    return found


def test_the_main_process_is_killed_by_somebody_else(wire: Wire) -> None:
    """That is no kill of the job: an error with the signal; nothing of it is left."""
    job = wire.script("setsid sleep 300 & sleep 300 & echo ready; sleep 300", stream=True)
    _ready(wire, job, 4)
    [main] = [
        process
        for process in marked_with([job])
        if os.getsid(process.pid) == process.pid and process.name() == "sh"
    ]
    main.kill()
    result = wire.result(job)
    assert (result["state"], result["code"], result["signal"]) == ("ERROR", 1128 + 9, 9)
    assert result["survivors"] == 0
    assert marked_with([job]) == []


def test_a_grandchild_that_holds_the_output(wire: Wire) -> None:
    """`sleep 1000 &` then exit: the job ends two seconds later, with what it wrote."""
    job = wire.script("echo out; sleep 1000 & exit 4")
    result = wire.result(job)
    assert (result["state"], result["code"], result["streams"][0]) == ("ERROR", 1004, "out\n")
    assert 1900 <= result["time"] < 8000
    assert marked_with([job]) == []


@pytest.mark.slow
def test_thousands_in_turn_leave_nothing(run_node: RunNode, raw: redis.Redis, keys: Keys) -> None:
    """After 2,000 programs the agent and its spawners have the descriptors that they had."""
    # A reaper opens its connection at its first look, which would be in the middle of this.
    node = run_node("n1", env={"COREX_NODE_LIMITS_REAP": "0"})
    own_wire = Wire(raw, keys, "n1")
    agent = psutil.Process(node.process.pid)

    def look() -> tuple[int, int, int]:
        family = [agent, *agent.children()]
        resident = sum(process.memory_info().rss for process in family)
        return sum(process.num_fds() for process in family), len(family), resident

    def run(count: int) -> None:
        jobs = [own_wire.push("core.system", {"name": "true"}) for _ in range(count)]
        results = own_wire.results(jobs, seconds=60)
        assert {result["state"] for result in results.values()} == {"SUCCESS"}
        own_wire.wait_unclaimed()

    run(500)
    before = look()
    run(2000)
    # A connection or two more may be open than at the first look, and not one for a program.
    eventually(
        lambda: look()[0] <= before[0] + 4 and look()[1] == before[1],
        f"about {before[:2]} descriptors and processes",
    )
    assert look()[2] - before[2] < 4 * 1024 * 1024
