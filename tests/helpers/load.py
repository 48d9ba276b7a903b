"""A load: a seeded mix of commands, pushed by the plain wire and by the client library."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgpack
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from corex import Client
from corex_shared.errors import CorexError, StoreError
from corex_shared.keys import Keys
from tests.helpers.mix import Mix, Push
from tests.helpers.orders import BadPayload, Order, Orders
from tests.helpers.trace import Trace
from tests.helpers.wire import Pairs, Wire, read

T = TypeVar("T")

_GIVE_UP = 60.0
"""Seconds within which Redis must be back for a push."""
_AGAIN = 0.05
_LOOK = 0.2
_CHANCES = ("push", "wait", "follow", "aside")
"""Who makes choices, each by a source of chance of its own: none depends on another's pace."""
_BACKLOG = 60
"""Commands without a result from which on no more are pushed for a while."""


@contextmanager
def plain_wire(url: str, keys: Keys, node: str) -> Iterator[Wire]:
    """Speak to Redis without any repetition: what is pushed once, arrives at most once."""
    retry = Retry(NoBackoff(), 0)
    if not url.startswith("redis+sentinel:"):
        with redis.Redis.from_url(url, socket_timeout=5, retry=retry) as client:
            yield Wire(client, keys, node)
        return
    hosts, service = urlsplit(url).netloc.split(","), urlsplit(url).path.split("/")[1]
    ports = [(host, int(port)) for host, _, port in (one.partition(":") for one in hosts)]
    make: Any = Sentinel  # has no annotations
    sentinels = make(ports, sentinel_kwargs={"socket_timeout": 5})
    with sentinels.master_for(service, socket_timeout=5, retry=retry) as client:
        yield Wire(client, keys, node)
    for sentinel in sentinels.sentinels:
        sentinel.close()


@dataclass(frozen=True, slots=True)
class Target:
    """Where a load goes.

    Attributes:
        url: of Redis.
        client_url: of Redis, as clients of the library reach it.
        keys: of the namespace.
        nodes: that commands go to, by turns of chance.
        group: that some go to instead; empty for none.
        replicas: that must have a command for it to have arrived; then there is no load by the
            client library, which does not wait for replicas.
    """

    url: str
    client_url: str
    keys: Keys
    nodes: tuple[str, ...]
    group: str = ""
    replicas: int = 0


class Load:
    """Pushes until it is told to stop; then waits until every command has its result."""

    def __init__(self, target: Target, trace: Trace, rng: random.Random, pace: float) -> None:
        """Prepare it.

        Args:
            target: where it goes.
            trace: that jobs write to.
            rng: source of all its choices.
            pace: commands a second.
        """
        self.orders = Orders()
        self._rngs = {name: random.Random(rng.random()) for name in _CHANCES}
        self._mixes = {name: Mix(chance, trace) for name, chance in self._rngs.items()}
        self.mix = self._mixes["push"]
        self._target = target
        self._rng = self._rngs["push"]
        self._pace = pace
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._gate = threading.Lock()
        self._threads = [threading.Thread(target=self._push_all, name="load")]
        works = [self._watch, *([] if target.replicas else [self._wait_all, self._follow_all])]
        self._threads += [threading.Thread(target=work, name="load") for work in works]
        self._prefix = f"{self._rng.randrange(1 << 32):08x}"
        self._number = 0

    def start(self) -> None:
        """Begin to push."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Push nothing more; return when all that pushes has ended."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def snapshot(self) -> list[Order]:
        """Commands pushed so far."""
        with self._lock:
            return list(self.orders.commands.values())

    def _new_id(self) -> str:
        with self._lock:
            self._number += 1
            return f"{self._prefix}-{self._number:05d}"

    def _add(self, order: Order) -> None:
        with self._lock:
            self.orders.add(order)

    def _trouble(self, text: str) -> None:
        with self._lock:
            self.orders.trouble.append(text)

    # -- the plain wire -----------------------------------------------------------------------

    def _push_all(self) -> None:
        with plain_wire(self._target.url, self._target.keys, self._target.nodes[0]) as wire:
            while not self._stop.is_set():
                for _ in range(self._rng.choice([1, 1, 2, 8])):
                    self._push_one(wire)
                    self._stop.wait(self._rng.expovariate(self._pace))
                while self._outstanding() > _BACKLOG and not self._stop.wait(_AGAIN):
                    pass

    def _outstanding(self) -> int:
        return sum(1 for order in self.snapshot() if order.known is None and not order.endless)

    def _push_one(self, wire: Wire) -> None:
        dice = self._rng.random()
        if dice < 0.03:
            self._push_bad(wire)
        elif dice < 0.06:
            self._push_again(wire)
        else:
            self.push(wire, self.mix.choose(self._new_id()))

    def push_one(self, wire: Wire, kind: str, *, control: bool = False) -> str:
        """Push a command of one kind now, past the backlog if so asked; return its job."""
        push = self._mixes["aside"].make(kind, self._new_id())
        self.push(wire, replace(push, control=control), rng=self._rngs["aside"])
        return push.order.id

    def push(
        self,
        wire: Wire,
        push: Push,
        order: Order | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Push a command until it has certainly arrived; note how often it may have.

        Args:
            wire: to Redis, without repetition.
            push: the command.
            order: that it is a repetition of; None for a new one.
            rng: source of choices; that of the load itself when None.
        """
        rng = rng or self._rng
        encode = rng.choice([None, msgpack.packb])
        fields = {**(push.fields or {}), "id": push.order.id}
        payload = wire.payload(push.command, push.arguments, encode=encode, **fields)
        if order is None:
            order = push.order
            order.key = self._list_for(push, rng)
            self._add(order)
        else:
            order.pushed += 1
        key = order.key
        order.perhaps += self._insist(lambda: self._rpush(wire, key, payload))

    def _list_for(self, push: Push, rng: random.Random) -> str:
        keys, node = self._target.keys, rng.choice(self._target.nodes)
        if push.control:
            return keys.control(node)
        group = self._target.group
        if group and push.order.queue is None and rng.random() < 0.5:
            return keys.group_commands(group)
        if push.order.queue is not None and not push.order.fleet:
            node = self._target.nodes[0]  # order holds within a node
        return keys.commands(node)

    def _push_bad(self, wire: Wire) -> None:
        mark = f"bad-{self._new_id()}"
        payload = self._rng.choice(
            [
                mark.encode(),
                b'{"id": "%b' % mark.encode(),
                b'{"command": "core.ping", "note": "%b"}' % mark.encode(),
                b'{"id": "%b", "command": 7}' % mark.encode(),
                b'{"id": "no id/%b", "command": "core.ping"}' % mark.encode(),
                b"\xc1" + mark.encode(),
            ]
        )
        bad = BadPayload(mark)
        self.orders.bad.append(bad)
        key = self._target.keys.commands(self._target.nodes[0])
        bad.perhaps += self._insist(lambda: self._rpush(wire, key, payload))

    def _push_again(self, wire: Wire) -> None:
        """Use an ID a second time, on the same list: only there it is known which comes first."""
        shared = self._target.keys.group_commands(self._target.group or "none")
        orders = [order for order in self.snapshot() if order.key not in ("", shared)]
        if orders:
            order = self._rng.choice(orders)
            self.push(wire, self.mix.make("quick", order.id), order)

    def _rpush(self, wire: Wire, key: str, payload: bytes) -> None:
        replicas = self._target.replicas
        with self._gate:
            pipeline = wire.redis.pipeline(transaction=False).rpush(key, payload)
            if replicas:
                pipeline.execute_command("WAIT", replicas, 2000)
            if pipeline.execute()[-1] < replicas:
                raise redis.ConnectionError("not on all replicas")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing be pushed meanwhile."""
        with self._gate:
            yield

    def _insist(self, push: Callable[[], object]) -> int:
        """Push until it is acknowledged; return how often before it may have arrived."""
        deadline, failed = time.monotonic() + _GIVE_UP, 0
        while True:
            try:
                push()
            except redis.RedisError as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"Redis is away for {_GIVE_UP:g} s: {error}") from error
                failed += not isinstance(error, redis.ResponseError)
                time.sleep(_AGAIN)
            else:
                return failed

    # -- the client library -------------------------------------------------------------------

    def _wait_all(self) -> None:
        """Submit some jobs, wait for all of them, and so on."""
        rng = self._rngs["wait"]
        with self._client() as client:
            while not self._stop.is_set():
                jobs = [self._submit(client, "wait") for _ in range(rng.randrange(1, 5))]
                for order, wait in (job for job in jobs if job is not None):
                    self._received(order, wait)
                self._stop.wait(rng.uniform(0, 0.2))

    def _follow_all(self) -> None:
        """Submit a job, follow its messages to the end, and so on."""
        rng = self._rngs["follow"]
        with self._client() as client:
            while not self._stop.is_set():
                job = self._submit(client, "follow")
                if job is not None:
                    self._received(*job)
                self._stop.wait(rng.uniform(0, 0.3))

    def _client(self) -> Client:
        return Client(self._target.client_url, namespace=self._target.keys.namespace)

    def _submit(self, client: Client, what: str) -> tuple[Order, Callable[[], Pairs]] | None:
        streams = what == "follow"
        push = self._mixes[what].make("stream" if streams else "quick", self._new_id())
        script = str((push.arguments or {})["script"])
        if streams:
            script = script.replace(push.order.id, "$COREX_JOB_ID")
        try:
            node = self._rngs[what].choice(self._target.nodes)
            with self._gate:
                job = client.node(node).bash(script, stream=streams)
        except StoreError:
            self._stop.wait(_AGAIN)  # it may have been pushed all the same: a stranger
            return None
        output = push.order.output
        if output is not None:
            output = output.replace(push.order.id, job.id)
        order = Order(job.id, "client", streams=streams, output=output, perhaps=1 << 30)
        self._add(order)

        def wait() -> Pairs:
            if streams:
                messages = list(job.stream(timeout=_GIVE_UP))
                order.followed = "".join(message.text for message in messages if message.level == 1)
            result = job.wait(timeout=_GIVE_UP)
            return {
                "state": str(result.state),
                "code": result.code,
                "streams": [result.stdout, result.stderr],
            }

        return order, wait

    def _received(self, order: Order, wait: Callable[[], Pairs]) -> None:
        try:
            order.known = wait()
        except CorexError as error:
            self._trouble(f"a client that waits for {order.id}: {type(error).__name__}: {error}")

    # -- the end ------------------------------------------------------------------------------

    def settle(self, seconds: float) -> None:
        """End what is endless, and wait until every command has its result, or time is up."""
        deadline = time.monotonic() + seconds
        with plain_wire(self._target.url, self._target.keys, self._target.nodes[0]) as wire:
            missing = {order.id: order for order in self.snapshot() if order.known is None}
            while missing and time.monotonic() < deadline:
                self._kill_endless(wire, missing)
                until = min(deadline, time.monotonic() + 0.7)
                while missing and time.monotonic() < until:
                    self._take_results(wire, missing)
                    time.sleep(_AGAIN)

    def _kill_endless(self, wire: Wire, missing: dict[str, Order]) -> None:
        for order in missing.values():
            if order.endless:
                for node in self._target.nodes:
                    wire.push("job.kill", {"id": order.id}, control=True, node=node)

    def _take_results(self, wire: Wire, missing: dict[str, Order]) -> None:
        """Note each result as it is seen first: no other may take its place."""
        pipeline = wire.redis.pipeline(transaction=False)
        for job in missing:
            pipeline.lindex(wire.keys.result(job), 0)
        for job, payload in zip(list(missing), pipeline.execute(), strict=True):
            if payload is not None:
                missing.pop(job).known = read(payload)

    def _watch(self) -> None:
        """Note results soon after they are there, now and then."""
        with plain_wire(self._target.url, self._target.keys, self._target.nodes[0]) as wire:
            while not self._stop.wait(_LOOK):
                missing = {
                    order.id: order
                    for order in self.snapshot()
                    if order.known is None and order.kind != "client"
                }
                with suppress(redis.RedisError):
                    self._take_results(wire, missing)
