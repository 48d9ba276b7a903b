"""Slots move and masters change in a Cluster: agents and clients go on with their successors."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import redis

from corex import Client, StoreRefusedError, StoreUnavailableError
from corex_node.process.embedded import HOST, EmbeddedRedis
from corex_shared.connection import Endpoint, execute, execute_async, server_infos
from corex_shared.keys import Keys
from tests.helpers.cluster import MASTERS, Cluster
from tests.helpers.diary import Diary
from tests.helpers.eventually import eventually
from tests.helpers.freezing import frozen
from tests.helpers.nodes import RunNode
from tests.integration.topologies.load import Load


@pytest.fixture
def sound(cluster: Cluster) -> Cluster:
    """All servers, well before a test."""
    for server in cluster.servers:
        server.start()
    eventually(cluster.is_whole, "three masters with a replica each", seconds=25)
    return cluster


@pytest.fixture
def cx(sound: Cluster, namespace: str) -> Iterator[Client]:
    """A blocking client."""
    with Client(sound.url, namespace=namespace) as client:
        yield client


def _another(cluster: Cluster, master: EmbeddedRedis) -> EmbeddedRedis:
    return next(server for server in cluster.masters() if server is not master)


def test_the_node_s_slot_moves_during_load(
    sound: Cluster, run_node: RunNode, cx: Client, keys: Keys, diary: Diary
) -> None:
    """There and back: each command ran once, in order, and has one result."""
    node = run_node("n1", url=sound.url)
    load = Load(cx, "n1", diary)
    load.push(60, queue="q")
    load.push(140)
    slot = sound.slot(keys.commands("n1"))
    first = sound.owner(slot)
    eventually(lambda: load.ran(40))
    sound.move(slot, _another(sound, first), meanwhile=lambda: load.push(20))
    load.push(20)
    eventually(lambda: load.ran(120))
    sound.move(slot, first, meanwhile=lambda: load.push(20))
    load.assert_each_ran_once()
    queued = load.order()[:60]
    assert [job for job in diary.lines() if job in queued] == queued
    assert node.running
    assert "node.stopping" not in node.log_text()


def test_events_reach_who_listens_at_another_server(
    sound: Cluster, run_node: RunNode, cx: Client, keys: Keys
) -> None:
    """The one that publishes them knows of no listener then, and that must not count."""
    run_node("n1", url=sound.url)
    elsewhere = _another(sound, sound.owner(sound.slot(keys.claimed("n1"))))
    with redis.Redis.from_url(elsewhere.url) as client, client.pubsub() as listener:
        listener.subscribe(keys.events())
        assert listener.get_message(timeout=10)["type"] == "subscribe"
        jobs = [cx.node("n1").bash("true") for _ in range(10)]
        assert all(job.wait(timeout=20).ok for job in jobs)
        heard: list[dict[str, Any]] = []
        while len(heard) < 2 * len(jobs):
            message = listener.get_message(timeout=10)
            assert message is not None, heard
            event = json.loads(message["data"])
            heard += [event] if event["event"] in ("job.started", "job.finished") else []
    assert {event["job"] for event in heard} == {job.id for job in jobs}


@pytest.mark.usefixtures("by_inbox")
def test_the_slot_of_an_inbox_moves_while_it_is_waited_on(
    sound: Cluster, run_node: RunNode, cx: Client, keys: Keys
) -> None:
    """The wait goes on where the slot has gone to, within its time."""
    run_node("n1", url=sound.url)
    job = cx.node("n1").bash("sleep 1")
    slot = sound.slot(keys.inbox(cx.id))
    with _meanwhile(lambda: sound.move(slot, _another(sound, sound.owner(slot)))):
        assert job.wait(timeout=20).ok


def test_the_slot_of_a_job_moves_while_it_streams(
    sound: Cluster, run_node: RunNode, cx: Client, keys: Keys
) -> None:
    """No message is missed, although the subscription is lost as well."""
    run_node("n1", url=sound.url)
    job = cx.node("n1").bash("for i in $(seq 20); do echo $i; sleep 0.1; done", stream=True)
    messages = job.stream(timeout=30)
    seqs = [next(messages).seq]
    slot = sound.slot(keys.log(job.id))
    sound.move(slot, _another(sound, sound.owner(slot)))
    for server in sound.servers:
        sound.ask(server, "CLIENT", "KILL", "TYPE", "pubsub")
    seqs += [message.seq for message in messages]
    assert seqs == list(range(len(seqs)))
    assert len(seqs) > 2


def test_masters_and_replicas_change_places_during_load(
    sound: Cluster, run_node: RunNode, cx: Client, diary: Diary
) -> None:
    """A failover by hand, of every master in turn: nothing is lost or done twice."""
    node = run_node("n1", url=sound.url)
    load = Load(cx, "n1", diary)
    load.push(250)
    for number, master in enumerate(sound.masters(), 1):
        eventually(lambda number=number: load.ran(50 * number))  # type: ignore[misc]
        replica = sound.replica_of(master)
        sound.ask(replica, "CLUSTER", "FAILOVER")
        eventually(lambda one=replica: one in sound.masters())  # type: ignore[misc]
    load.push(50)
    load.assert_each_ran_once()
    assert node.running


def test_a_master_is_killed_during_load(
    sound: Cluster, run_node: RunNode, cx: Client, keys: Keys, diary: Diary
) -> None:
    """That of the node's keys, and of a third of the jobs': its replica takes over."""
    node = run_node("n1", url=sound.url)
    load = Load(cx, "n1", diary)
    load.push(200)
    eventually(lambda: load.ran(40))
    master = sound.master_of(keys.commands("n1"))
    with frozen(node, sound.ask, master):
        master.kill()
    eventually(lambda: sound.master_of(keys.commands("n1")) is not master, seconds=20)
    load.push(100)
    load.assert_each_ran_once()
    assert node.running


def _connections(cluster: Cluster, server: EmbeddedRedis, name: str) -> int:
    """How many connections a server has of clients of some name."""
    listed: bytes = cluster.ask(server, "CLIENT", "LIST")
    return listed.count(f" name={name} ".encode())


async def test_a_master_that_is_none_any_more_keeps_no_connection(sound: Cluster) -> None:
    """After a failover, blocking and asyncio clients close what they had to it."""
    calls = [("SET", f"k{number}", number) for number in range(20)]
    blocking = Endpoint(f"{sound.url}?client_name=blocking").command()
    asynchronous = Endpoint(f"{sound.url}?client_name=asynchronous").async_command()
    with closing(blocking):
        execute(blocking, calls)
        await execute_async(asynchronous, calls)
        master = sound.masters()[0]
        names = ("blocking", "asynchronous")
        assert [_connections(sound, master, name) for name in names] == [1, 1]
        replica = sound.replica_of(master)
        sound.ask(replica, "CLUSTER", "FAILOVER")
        eventually(lambda: replica in sound.masters(), seconds=60)

        for _ in range(200):
            execute(blocking, calls)
            await execute_async(asynchronous, calls)
            if not any(_connections(sound, master, name) for name in names):
                break
            await asyncio.sleep(0.05)
        assert [_connections(sound, master, name) for name in names] == [0, 0]
        assert [_connections(sound, replica, name) for name in names] == [1, 1]
        await asynchronous.aclose()


def test_seeds_that_are_gone_or_replicas(sound: Cluster) -> None:
    """One node that answers is enough, whichever it is."""
    replica = next(server for server in sound.servers if server not in sound.masters())
    calls = [("SET", f"k{number}", number) for number in range(20)]
    with closing(Endpoint(f"redis+cluster://{HOST}:1,{HOST}:{replica.port}").command()) as client:
        assert execute(client, calls) == [True] * len(calls)
    with (
        closing(Endpoint(f"redis+cluster://{HOST}:1").command()) as client,
        pytest.raises(StoreUnavailableError, match="refused"),
    ):
        execute(client, calls)


def test_a_url_for_one_server_says_what_is_wrong(sound: Cluster) -> None:
    """A part of a Cluster is not taken for a whole Redis; nor one server for a Cluster."""
    calls = [("SET", f"k{number}", number) for number in range(20)]
    url = f"redis://{HOST}:{sound.servers[0].port}"
    with (
        closing(Endpoint(url).command()) as client,
        pytest.raises(StoreRefusedError, match=r"redis\+cluster://"),
    ):
        execute(client, calls)


def test_one_server_is_no_cluster(redis_server: EmbeddedRedis) -> None:
    """What it says to a client that takes it for one is passed on."""
    url = f"redis+cluster://{HOST}:{redis_server.port}"
    with (
        closing(Endpoint(url).command()) as client,
        pytest.raises(StoreRefusedError, match="cluster support disabled"),
    ):
        execute(client, [("PING",)])


def test_keys_of_two_slots_in_one_command_are_refused(sound: Cluster) -> None:
    """Nothing is done to either."""
    with closing(Endpoint(sound.url).command()) as client:
        assert execute(client, [("SET", "{a}", 1), ("SET", "{b}", 2)]) == [True, True]
        with pytest.raises(StoreRefusedError, match="slot"):
            execute(client, [("UNLINK", "{a}", "{b}")])
        assert execute(client, [("GET", "{a}"), ("GET", "{b}")]) == [b"1", b"2"]


async def test_every_master_is_asked_for_its_info(sound: Cluster) -> None:
    """So that none that would lose jobs is passed over."""
    client = Endpoint(sound.url).async_command()
    infos = await server_infos(client)
    await client.aclose()
    ports = sorted(server.port for server in sound.masters())
    assert sorted(info["tcp_port"] for info in infos) == ports
    assert len(infos) == MASTERS


@contextmanager
def _meanwhile(work: Any) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


def test_a_master_that_hangs_keeps_no_blocking_client_from_the_others(
    sound: Cluster, keys: Keys
) -> None:
    """Leases on other masters are renewed meanwhile."""
    names = {sound.owner(sound.slot(name)): name for name in map(keys.result, "abcdefghijklmnop")}
    assert len(names) == MASTERS
    with closing(Endpoint(sound.url).command(0.5)) as client, sound.client() as plain:
        execute(client, [("GET", name) for name in names.values()])
        hanging, *others = names
        hanging.pause()
        try:
            with pytest.raises(StoreUnavailableError):
                execute(client, [("SET", name, "1", "EX", 60) for name in names.values()])
            assert all(plain.get(names[server]) for server in others)
        finally:
            hanging.resume()
