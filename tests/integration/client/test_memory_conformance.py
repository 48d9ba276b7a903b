"""Nodes in memory (corex.testing) answer as real ones do: the same scenarios, the same results."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

import corex.testing
from corex import Client, CommandError, JobFailed, JobResult, Message, NotFoundError
from corex.effects import Run
from corex.testing import MemoryNode
from corex.testing.answers import FOREVER
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess, RunNode

GO_ON = "echo a; sleep 30"
MUCH = "head -c 300000 /dev/zero | tr '\\0' a"
MARKED = "test -e {marker} || touch {marker}; exit 1"


def answer_as_the_machine_does(node: MemoryNode) -> None:
    """Say of a node in memory what the scripts of these scenarios do on a real one."""
    node.answer("bash", stdout="hi\n", stderr="err\n", script=r"^echo hi; echo err >&2$")
    node.answer("bash", code=3, script=r"^exit 3$")
    node.answer("bash", signal=9, script=r"^kill -9 \$\$$")
    node.answer("bash", stdout="a" * 300_000, script=r"^head -c 300000")
    node.answer("bash", stdout="a\n", delay=FOREVER, script=r"^echo a; sleep 30$")
    node.answer("bash", stdout="a\nb\nc", script=r"^printf")
    node.answer("bash", stdout="x\n", script=r"^echo x$")
    node.answer("bash", delay=0.4, script=r"^sleep 0.4$")
    node.answer("bash", script=r"^true$")
    node.answer("bash", stdout="20\n", data=[1], script=r"never")
    node.answer("core.system", stdout="-n x\n", script=r"^echo -n x$")
    node.answer(
        "core.system",
        error=NotFoundError("name: nosuchprogram: no such program"),
        script=r"^nosuchprogram",
    )


def facts(result: JobResult) -> dict[str, Any]:
    """What must be the same of a result: all but IDs and how long it took."""
    fields = msgspec.structs.asdict(result)
    for name in ("id", "time", "queued"):
        del fields[name]
    fields["starttime"] = bool(result.starttime)
    fields["took its time"] = result.time >= 250
    return fields


def shape(messages: list[Message]) -> dict[str, Any]:
    """What must be the same of a stream of messages."""
    texts: dict[int, str] = {}
    for message in messages:
        texts[message.level] = texts.get(message.level, "") + message.text
    return {
        "seq": [message.seq for message in messages] == list(range(len(messages))),
        "flags": {message.flags for message in messages[:-1]},
        "last": messages[-1].flags,
        "level of the last": messages[-1].level,
        "texts": texts,
    }


@dataclass
class Scene:
    """A client of a fleet, whichever kind, and the node `n1` in it."""

    cx: Client

    def bash(self, script: str, **options: Any) -> corex.Job:
        return self.cx.node("n1").bash(script, **options)

    def running(self, script: str = GO_ON, **options: Any) -> corex.Job:
        job = self.bash(script, **options)
        eventually(lambda: job.state().stage == "running")
        return job

    def facts(self, *jobs: corex.Job) -> list[Any]:
        return [facts(job.wait(timeout=10)) for job in jobs]

    def read(self, *calls: Any) -> list[Any]:
        def plan() -> Any:
            return (yield Run(calls))

        answers: list[Any] = self.cx.perform(plan())
        return answers


def outputs(scene: Scene) -> list[Any]:
    """Output, exit codes, signals, tags."""
    return scene.facts(
        scene.bash("echo hi; echo err >&2", tags=["t", "u"]),
        scene.bash("exit 3"),
        scene.bash("kill -9 $$"),
        scene.bash("true"),
        scene.bash(MUCH),
        scene.cx.node("n1").system("echo", args=["-n", "x"], env={}),
    )[:-1]


def streams(scene: Scene) -> list[Any]:
    """Messages of a script, of one that fails, of a built-in."""
    jobs = [
        scene.bash("printf 'a\\nb\\nc'", stream=True),
        scene.bash("echo hi; echo err >&2", stream=True),
        scene.bash("exit 3", stream=True),
        scene.cx.node("n1").submit("core.ping", stream=True),
        scene.cx.node("n1").submit("no.such", stream=True),
        scene.bash("true", stream=True, log_levels=[9]),
    ]
    live = [shape(list(job.stream(timeout=10))) for job in jobs]
    late = [shape(list(scene.cx.job(job.id).stream(timeout=10))) for job in jobs]
    return [live, late, scene.facts(*jobs)]


def builtins(scene: Scene) -> list[Any]:
    """What every node answers, and what it says of a wrong argument or an unknown command."""
    node = scene.cx.node("n1")
    return [
        node.ping(),
        *scene.facts(
            node.submit("core.ping"),
            node.submit("core.ping", {"x": 1}),
            node.submit("no.such", {"x": 1}, tags=["t"]),
            node.system("nosuchprogram"),
        ),
    ]


def time_is_up(scene: Scene) -> list[Any]:
    """`max_time`, with and without grace; `expires_at`."""
    past = int(time.time() * 1000) - 1000
    return scene.facts(
        scene.bash(GO_ON, max_time=0.3),
        scene.bash(GO_ON, max_time=0.3, grace=0),
        scene.bash("true", expires_at=past),
        scene.bash("true", max_time=5, expires_at=past + 60_000),
    )


def killed(scene: Scene) -> list[Any]:
    """While it runs, by another signal, while it waits for its queue, when it has ended."""
    plain, hard, holder = scene.running(stream=True), scene.running(), scene.running(queue="q")
    waiter = scene.bash("true", queue="q")
    eventually(lambda: waiter.state().stage == "waiting")
    asked = [plain.kill(), hard.kill(9), waiter.kill()]
    plain.wait(timeout=10)
    asked.append(plain.kill())
    state = plain.state()
    scene.cx.node("n1").jobs.killall()
    return [
        asked,
        (state.stage, state.state, state.node, bool(state.claimed), bool(state.finished)),
        shape(list(plain.stream(timeout=10))),
        scene.facts(plain, hard, waiter, holder),
        scene.cx.node("n1").jobs.kill("nothing"),
    ]


def duplicates(scene: Scene) -> list[Any]:
    """An ID that is in use, one that has a result, and the results of the first."""
    first = scene.bash("sleep 0.4", id="dup-1")
    second = scene.bash("true", id="dup-1")
    told = scene.facts(second, first)
    return [told, scene.facts(scene.bash("true", id="dup-1"), scene.cx.job("dup-1"))]


def queues(scene: Scene) -> list[Any]:
    """One at a time, in order; others meanwhile."""
    jobs = [scene.bash("sleep 0.4", queue="q") for _ in range(2)]
    last = scene.bash("true", queue="q")
    eventually(lambda: jobs[0].state().stage == "running" and last.state().stage == "waiting")
    (held,) = scene.cx.node("n1").queues.list()
    return [
        scene.facts(scene.bash("true")),
        (held.queue, held.holder == jobs[0].id, held.waiters == [jobs[1].id, last.id]),
        (held.stage, held.scope, jobs[1].state().stage, last.state().stage),
        scene.facts(*jobs, last),
        jobs[0].wait().starttime + 390 <= jobs[1].wait().starttime,
        scene.cx.node("n1").queues.list(),
    ]


def runs(scene: Scene) -> list[Any]:
    """`max_restart`, `recurring_period`."""
    again = scene.bash("exit 3", max_restart=2)
    recurring = scene.bash("echo x", recurring_period=0.2)
    eventually(lambda: recurring.state().stage == "waiting")
    listed = scene.cx.node("n1").jobs.list(recurring.id)
    asked = scene.cx.node("n1").jobs.unschedule(recurring.id)
    result = facts(recurring.wait(timeout=10))
    output = result.pop("streams")[0]
    assert output == "x\n" * result.pop("attempts")
    assert result.pop("stdout_bytes") == len(output)
    return [asked, listed[0].stage, scene.facts(again), result]


def junk(scene: Scene) -> list[Any]:
    """What is no command: rejected, and told to whoever waits for an ID."""
    keys = scene.cx.core.keys
    texts = [b"nonsense", b'{"id":"x1","command":5}', b'{"command":"core.ping"}']
    scene.read(("RPUSH", keys.commands("n1"), *texts))
    result = scene.facts(scene.cx.job("x1"))

    def rejected() -> list[Any]:
        (entries,) = scene.read(("LRANGE", keys.rejected("n1"), 0, -1))
        found = [msgspec.json.decode(entry) for entry in entries]
        return [(one["field"], one["reason"], one["code"], one["payload"]) for one in found]

    eventually(lambda: len(rejected()) >= 3)
    return [result, [entry for entry in rejected() if entry[2] == 400]]


def plain_way(scene: Scene) -> list[Any]:
    """JSON in, JSON out."""
    keys = scene.cx.core.keys
    scene.read(("RPUSH", keys.commands("n1"), b'{"id":"j1","command":"core.ping"}'))
    result = scene.cx.job("j1").wait(timeout=10)
    (payload,) = scene.read(("LINDEX", keys.result("j1"), 0))
    return [facts(result), payload[:1], sorted(msgspec.json.decode(payload))]


def failures(scene: Scene) -> list[Any]:
    """What a caller sees of a command's error."""
    with pytest.raises(JobFailed) as caught:
        scene.cx.node("n1").jobs.list("nothing")
    result = caught.value.result
    return [facts(result), str(caught.value).partition(": ")[2]]


def failure_of(call: Callable[[], Any]) -> int:
    """The code of what fails, 0 if it does not."""
    try:
        call()
    except JobFailed as error:
        return error.result.code
    return 0


def files(scene: Scene) -> list[Any]:
    """Copies, and what goes wrong: the codes, not the words."""
    fs, folder = scene.cx.node("n1").fs, f"/tmp/corex-conformance-{uuid.uuid4().hex}"
    fs.mkdir(folder)
    try:
        content = bytes(range(256)) * 4096
        copied = fs.upload(io.BytesIO(content), f"{folder}/a", mode=0o600)
        back = io.BytesIO()
        fs.download(f"{folder}/a", back)
        fs.move(f"{folder}/a", f"{folder}/b")
        stat = fs.stat(f"{folder}/b")
        fd = fs.open(f"{folder}/c", "x+", perm=0o600)
        fs.write(fd, b"abc")
        fs.write(fd, b"d")
        fs.write(fd, b"B", offset=1)
        parts = [fs.read(fd, size=9, offset=0), fs.read(fd)]
        fs.close(fd)
        wrong: list[Callable[[], Any]] = [
            lambda: fs.read(fd),
            lambda: fs.open(f"{folder}/c", "x"),
            lambda: fs.open(f"{folder}/none", "r"),
            lambda: fs.open(f"{folder}/c", "q"),
            lambda: fs.stat(f"{folder}/none"),
            lambda: fs.list(f"{folder}/none"),
            lambda: fs.remove(f"{folder}/none"),
            lambda: fs.move(f"{folder}/none", f"{folder}/d"),
            lambda: fs.checksum(f"{folder}/none"),
            lambda: fs.checksum(f"{folder}/c", "nonsense"),
            lambda: scene.cx.node("n1").call("filesystem.stat", {"nonsense": 1}),
        ]
        codes = [failure_of(call) for call in wrong]
        entries = [(one.name, one.size, one.mode, one.is_dir) for one in fs.list(folder)]
        return [
            (copied.size, copied.sha256, back.getvalue() == content),
            (stat.size, stat.mode, stat.is_dir, stat.is_link),
            (fs.exists(f"{folder}/a"), fs.exists(folder)),
            (parts, codes, entries),
        ]
    finally:
        fs.remove(folder)


SCENARIOS: list[Callable[[Scene], list[Any]]] = [
    outputs,
    streams,
    builtins,
    time_is_up,
    killed,
    duplicates,
    queues,
    runs,
    junk,
    plain_way,
    failures,
    files,
]


@pytest.fixture(scope="module")
def real(redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a real node, `n1`."""
    log = tmp_path_factory.mktemp("conformance") / "log"
    agent = NodeProcess("n1", redis_server.url, "conformance", log)
    agent.start()
    with Client(redis_server.url, namespace="conformance") as client:
        yield client
    agent.finish()


@pytest.fixture
def memory() -> Iterator[corex.testing.MemoryFleet]:
    """A client of a node in memory, `n1`."""
    with corex.testing.fleet(["n1"], namespace="conformance") as fleet:
        answer_as_the_machine_does(fleet.memory_node("n1"))
        yield fleet


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_same_comes_of_the_same(
    scenario: Callable[[Scene], list[Any]], real: Client, memory: corex.testing.MemoryFleet
) -> None:
    """All that a result says, but IDs and how long it took."""
    expected = scenario(Scene(real))
    assert scenario(Scene(memory)) == expected


def test_a_node_that_dies_and_comes_back(
    run_node: RunNode, redis_url: str, namespace: str, memory: corex.testing.MemoryFleet
) -> None:
    """What ran is lost, or runs again if it says so; what waited is run."""
    agent = run_node("n1")
    scripts = ["echo a; sleep 30", "true"]

    def story(cx: Client, die: Callable[[], None], come_back: Callable[[], None]) -> list[Any]:
        scene = Scene(cx)
        ran, again = scene.running(), scene.running(on_lost="retry", max_time=1)
        die()
        waited = scene.bash(scripts[1])
        stages = [ran.state().stage, waited.state().stage, cx.nodes()[0].alive]
        come_back()
        assert cx.nodes()[0].alive
        return [stages[:2], scene.facts(ran, waited), again.wait(timeout=20).state]

    def restart() -> None:
        agent.start()

    with Client(redis_url, namespace=namespace) as client:
        expected = story(client, agent.kill, restart)
    node = memory.memory_node("n1")
    assert story(memory, lambda: node.die(settled=False), node.come_back) == expected


def test_a_node_that_stops(
    run_node: RunNode, redis_url: str, namespace: str, memory: corex.testing.MemoryFleet
) -> None:
    """In good order: what runs is killed, the rest waits in its list, its heartbeat is gone."""
    agent = run_node("n1", env={"COREX_NODE_LIMITS_DRAIN": "0"})

    def story(cx: Client, stop: Callable[[], Any]) -> list[Any]:
        scene = Scene(cx)
        job = scene.running(grace=0)
        stop()
        waits = scene.bash("true")
        (node,) = cx.nodes()
        [ended] = scene.facts(job)
        for output in ("streams", "stdout_bytes"):  # it may not have written yet
            del ended[output]
        return [ended, waits.state().stage, waits.kill(), node.alive, node.groups]

    with Client(redis_url, namespace=namespace) as client:
        expected = story(client, agent.stop)
    assert story(memory, memory.memory_node("n1").leave) == expected


def test_errors_of_functions() -> None:
    """A function of one's own answers and fails as a command of a real node's process does."""
    with corex.testing.fleet(["n1"]) as cx:
        node = cx.memory_node("n1")

        @node.command("greet")
        def greet(arguments: dict[str, Any]) -> str:
            if not arguments:
                raise NotFoundError("name: nobody")
            return f"hello {arguments['name']}"

        assert cx.node("n1").call("greet", {"name": "you"}, timeout=5) == "hello you"
        with pytest.raises(JobFailed) as caught:
            cx.node("n1").call("greet", timeout=5)
        assert caught.value.result.code == NotFoundError.code == 404
        with pytest.raises(JobFailed) as caught:
            cx.node("n1").call("greet", {"nme": "you"}, timeout=5)
        assert caught.value.result.code == CommandError.code == 500
        assert caught.value.result.data == "\"KeyError: 'name'\""


def test_keys_are_those_of_a_node(real: Client, memory: corex.testing.MemoryFleet) -> None:
    """What is left in Redis after a job is of the same kinds, under the same names."""

    def left(cx: Client) -> list[Any]:
        scene = Scene(cx)
        job = scene.bash("echo x", stream=True)
        result = job.wait(timeout=10)
        keys: Keys = cx.core.keys
        names = [keys.state(job.id), keys.result(job.id), keys.log(job.id)]
        kinds = scene.read(*(("TYPE", name) for name in names))
        lives = [0 < ttl <= 300_000 for ttl in scene.read(*(("PTTL", name) for name in names))]
        (state,) = scene.read(("HGETALL", keys.state(job.id)))
        (presence,) = scene.read(("HGETALL", keys.presence("n1")))
        eventually(lambda: scene.read(("HEXISTS", keys.claimed("n1"), job.id)) == [0])
        return [kinds, lives, sorted(state), sorted(presence), result.ok]

    assert left(memory) == left(real)
