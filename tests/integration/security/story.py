"""What nodes do all day, as a story that can be told on any server."""

from __future__ import annotations

from pathlib import Path

import redis

import corex
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess
from tests.helpers.wire import Wire


def refused(admin: redis.Redis, user: str) -> list[str]:
    """What Redis has refused to a user since its list was emptied."""
    return [str(entry) for entry in admin.acl_log() if entry["username"] == user]


def told(node: NodeProcess, wire: Wire, client: corex.Client, folder: Path) -> None:
    """Run, stream, queue, kill, files, the node's log, rejects, duplicates."""
    remote = client.node(node.id)
    assert remote.bash("cat", stdin="in").wait(timeout=10).stdout == "in"
    texts = [message.text for message in remote.bash("echo a; echo b", stream=True).stream()]
    assert "".join(texts).startswith("a\nb\n")
    order = folder / "order"
    queued = [remote.bash(f"echo {at} >> {order}", queue="q") for at in range(5)]
    assert all(job.wait(timeout=10).ok for job in queued)
    assert order.read_text().split() == ["0", "1", "2", "3", "4"]
    sleeper = remote.system("sleep", args=["60"])
    eventually(lambda: sleeper.state().stage == "running")
    assert sleeper.kill()
    assert sleeper.wait(timeout=10).state == "KILLED"
    source = folder / "source"
    source.write_bytes(b"x" * 300_000)
    remote.fs.upload(str(source), str(folder / "there"))
    remote.fs.download(str(folder / "there"), str(folder / "back"))
    assert (folder / "back").read_bytes() == source.read_bytes()
    told_to_plain_clients(node, wire)


def told_to_plain_clients(node: NodeProcess, wire: Wire) -> None:
    """What needs no library."""
    feed = wire.push("logger.subscribe", {"queue": "f", "levels": [1]})
    assert wire.result(feed)["state"] == "SUCCESS"
    wire.result(wire.script("echo told"))
    assert wire.redis.blpop([wire.keys.logger(node.id, "f")], timeout=10)
    assert wire.result(wire.push("logger.unsubscribe", {"queue": "f"}))["state"] == "SUCCESS"
    wire.push_bytes(b"junk", b'{"command": "x"}')
    eventually(lambda: wire.redis.llen(wire.keys.rejected(node.id)) == 2)
    twice = wire.script("true", reply_to="somebody")
    wire.result(twice)
    wire.push("core.ping", id=twice, reply_to="somebody")
    eventually(lambda: wire.redis.llen(wire.keys.inbox("somebody")) == 2)


def told_of_a_death(node: NodeProcess, wire: Wire) -> None:
    """What ran when the agent was killed is LOST, what waited runs when it is back."""
    running = wire.push("core.system", {"name": "sleep", "args": ["60"]}, queue="q", stream=True)
    waiting = wire.script("echo after", queue="q", stream=True)
    wire.wait_stage(running, "running")
    wire.wait_stage(waiting, "waiting")
    node.kill()
    node.start()
    assert wire.result(running)["state"] == "LOST"
    assert wire.result(waiting)["streams"][0] == "after\n"
