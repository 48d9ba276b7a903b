"""The driver of plans for asyncio. It belongs to the event loop that it is first used in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any, TypeVar

from corex.core import BLOCK, SLICE, Core
from corex.effects import (
    Block,
    Do,
    Effect,
    Emit,
    Listen,
    Plan,
    ReadInbox,
    Run,
    Sleep,
    Subscribe,
    Unserved,
    advance,
)
from corex.lookout import PACE, look
from corex.mailbox import Waiter
from corex.transport.commands import AsyncCommands
from corex.transport.inbox import inbox_calls, inbox_entries
from corex.transport.pulse import CONFIRMATIONS, DEAD, MESSAGES, Pulse
from corex_shared.connection import COMMAND_TIMEOUT, Endpoint, execute_async, translated
from corex_shared.endings import end
from corex_shared.errors import StoreError, StoreUnavailableError

T = TypeVar("T")

BLOCKS = 1
"""Commands blocking at once, beside the read of the inbox; each takes a connection."""


class AsyncTransport:
    """Runs plans.

    Tasks: keep the connections (one for commands, one for the inbox, one for a key that is waited
    on, one for each subscription); read the inbox, and look at keys, in one task for all
    coroutines that wait.

    Attributes:
        endpoint: where Redis is.
        closed: whether it was closed.
    """

    def __init__(self, url: str, core: Core) -> None:
        """Check the URL; connections are opened when they are needed.

        Raises:
            ConfigError: the URL is not one of a Redis.
        """
        self.endpoint = Endpoint(url)
        self._command = self.endpoint.async_command()
        self._blocking = self.endpoint.async_blocking(BLOCK)
        self._commands = AsyncCommands(self._execute)
        self._blocks = asyncio.Semaphore(BLOCKS)
        self._inbox = _Inbox(self, core)
        self.closed = False

    async def perform(self, plan: Plan[T]) -> T:
        """Run a plan that emits nothing to its end.

        Raises:
            CorexError: whatever the plan raises.
        """
        items = _Run(self, plan)
        try:
            while True:
                await items.next_item()
        except _Done as done:
            value: T = done.value
            return value
        finally:
            await items.close()

    async def iterate(self, plan: Plan[None]) -> AsyncGenerator[Any, None]:
        """Run a plan, giving each item that it emits; closing the generator ends it.

        Raises:
            CorexError: whatever the plan raises.
        """
        items = _Run(self, plan)
        try:
            while True:
                try:
                    item = await items.next_item()
                except _Done:
                    return
                yield item
        finally:
            await items.close()

    async def close(self) -> None:
        """Close all connections; plans under way fail."""
        self.closed = True
        await self._inbox.close()
        with translated():
            await self._command.aclose()
            await self._blocking.aclose()

    async def run(self, calls: Sequence[Any]) -> list[Any]:
        """Run commands in one round trip.

        Raises:
            StoreError: Redis cannot be reached or refused one.
        """
        self.check_open()
        return await self._commands.run(calls)

    async def run_blocking(self, calls: Sequence[Any]) -> list[Any]:
        """Run commands of which the first blocks.

        Raises:
            StoreError: Redis cannot be reached or refused one.
        """
        self.check_open()
        return await execute_async(self._blocking, calls)

    async def perform_effect(self, effect: Effect) -> Any:
        """Do what a plan asks, except for subscriptions."""
        match effect:
            case Run(calls):
                return await self.run(calls) if calls else []
            case ReadInbox(waiter, seconds):
                return await self._inbox.read(waiter, seconds)
            case Block(call, _):
                if self._blocks.locked():
                    return Unserved.BUSY
                async with self._blocks:
                    return (await self.run_blocking([call]))[0]
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
            case Do(function):
                return await asyncio.to_thread(function)
            case _:
                raise TypeError(f"no such effect: {effect!r}")

    def check_open(self) -> None:
        """Refuse to work after `close`.

        Raises:
            RuntimeError: the client is closed.
        """
        if self.closed:
            raise RuntimeError("the client is closed")

    async def _execute(self, calls: list[Any]) -> list[Any]:
        return await execute_async(self._command, calls, keep_refusals=True)


def _cancellations() -> int:
    """How often the running task was asked to end."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


class _Done(Exception):
    """The plan is done: StopIteration, which cannot leave a coroutine."""

    def __init__(self, value: Any) -> None:
        self.value = value
        super().__init__()


class _Run:
    """One plan on its way, with its subscription."""

    def __init__(self, transport: AsyncTransport, plan: Plan[Any]) -> None:
        self._transport = transport
        self._plan = plan
        self._subscription: _Subscription | None = None

    async def next_item(self) -> Any:
        """Go on to the next emitted item.

        Raises:
            _Done: the plan is done; holds its value.
        """
        reply: Any = None
        error: Exception | None = None
        while True:
            try:
                effect = advance(self._plan, reply, error)
            except StopIteration as stop:
                raise _Done(stop.value) from None
            if isinstance(effect, Emit):
                return effect.item
            reply = error = None
            cancelled = _cancellations()
            try:
                reply = await self._perform(effect)
            except (StoreError, OSError) as failure:
                error = failure
            if _cancellations() > cancelled:  # redis-py lost it: see corex_shared.endings
                raise asyncio.CancelledError

    async def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, Subscribe):
            await self._unsubscribe()
            self._subscription = _Subscription(self._transport.endpoint)
            return await self._subscription.open(effect)
        if isinstance(effect, Listen):
            if self._subscription is None:
                raise StoreUnavailableError("not subscribed")
            return await self._subscription.listen(effect.seconds)
        return await self._transport.perform_effect(effect)

    async def close(self) -> None:
        self._plan.close()
        await self._unsubscribe()

    async def _unsubscribe(self) -> None:
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            await subscription.close()


class _Subscription:
    """A connection that listens to channels."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._early: list[bytes] = []
        self._pulse = Pulse(time.monotonic())
        self._client = endpoint.async_pubsub()
        self._pubsub = self._client.pubsub()

    async def open(self, wanted: Subscribe) -> None:
        """Subscribe; done when the server has confirmed every channel."""
        with translated():
            if wanted.patterns:
                await self._pubsub.psubscribe(*wanted.channels)
            else:
                await self._pubsub.subscribe(*wanted.channels)
            async with asyncio.timeout(COMMAND_TIMEOUT):
                await self._confirm(len(set(wanted.channels)))
        self._pulse = Pulse(time.monotonic())

    async def _confirm(self, awaited: int) -> None:
        while awaited:
            message = await self._pubsub.get_message(timeout=COMMAND_TIMEOUT)
            if message is None:
                continue
            if message["type"] in CONFIRMATIONS:
                awaited -= 1
            elif message["type"] in MESSAGES:
                self._early.append(message["data"])

    async def listen(self, seconds: float) -> list[bytes]:
        """Wait for the next message.

        Raises:
            StoreUnavailableError: the connection is lost, or does not answer any more.
        """
        if self._early:
            early, self._early = self._early, []
            return early
        with translated():
            message = await self._pubsub.get_message(timeout=max(seconds, 0.001))
            now = time.monotonic()
            if message:
                self._pulse.heard(now)
            elif self._pulse.is_dead(now):
                raise StoreUnavailableError(DEAD)
            elif self._pulse.is_to_ask(now):
                await self._pubsub.ping()
        return [message["data"]] if message and message["type"] in MESSAGES else []

    async def close(self) -> None:
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        await self._client.aclose()


class _Inbox:
    """Reads the inbox, and looks at keys, in one task, which lives while somebody waits."""

    def __init__(self, transport: AsyncTransport, core: Core) -> None:
        self._transport = transport
        self._core = core
        self._mailbox = core.mailbox
        self._key = core.inbox
        self._parked: dict[Waiter, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def read(self, waiter: Waiter, seconds: float) -> None:
        """Wait until the waiter has mail or the time is up.

        Raises:
            StoreError: the inbox could not be read.
        """
        if waiter.ready:
            return
        self._transport.check_open()
        future = asyncio.get_running_loop().create_future()
        self._parked[waiter] = future
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name="corex-inbox")
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass
        finally:
            self._parked.pop(waiter, None)

    async def _serve(self) -> None:
        error: StoreError | None = None
        try:
            while self._parked and error is None:
                try:
                    self._wake(await self._transport.perform(look(self._core)))
                    replies = await self._transport.run_blocking(inbox_calls(self._key, PACE))
                except StoreError as failure:
                    error = failure
                else:
                    self._wake(self._mailbox.put(inbox_entries(replies)))
        finally:
            self._task = None
            self._wake_all(error)

    def _wake(self, waiters: set[Waiter]) -> None:
        for waiter in waiters:
            future = self._parked.get(waiter)
            if future is not None and not future.done():
                future.set_result(None)

    def _wake_all(self, error: StoreError | None) -> None:
        for future in self._parked.values():
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    async def close(self) -> None:
        if self._task is not None:
            await end([self._task], SLICE)
