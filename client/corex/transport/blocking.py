"""The driver of plans that blocks, for use from any number of threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from corex.core import BLOCK, Core
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
from corex.transport.commands import Commands
from corex.transport.inbox import inbox_calls, inbox_entries
from corex.transport.pulse import CONFIRMATIONS, DEAD, MESSAGES, Pulse
from corex_shared.connection import COMMAND_TIMEOUT, Endpoint, execute, translated
from corex_shared.errors import StoreError, StoreUnavailableError

T = TypeVar("T")

BLOCKS = 1
"""Commands blocking at once, beside the read of the inbox; each takes a connection."""
SHORTEST_LISTEN = 0.25
"""Seconds within which the rest of a message arrives whose beginning did."""


class SyncTransport:
    """Runs plans.

    Tasks: keep the connections (one for commands, one for the inbox, one for a key that is waited
    on, one for each subscription); let one thread at a time read the inbox, and look at keys, for
    all that wait.

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
        self._command = self.endpoint.command()
        self._blocking = self.endpoint.blocking(BLOCK)
        self._commands = Commands(self._execute)
        self._blocks = threading.BoundedSemaphore(BLOCKS)
        self._inbox = _Inbox(self, core)
        self.closed = False

    def perform(self, plan: Plan[T]) -> T:
        """Run a plan that emits nothing to its end.

        Raises:
            CorexError: whatever the plan raises.
        """
        items = _Run(self, plan)
        try:
            while True:
                items.next_item()
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            items.close()

    def iterate(self, plan: Plan[None]) -> Generator[Any, None, None]:
        """Run a plan, giving each item that it emits; leaving early ends it.

        Raises:
            CorexError: whatever the plan raises.
        """
        items = _Run(self, plan)
        try:
            while True:
                try:
                    item = items.next_item()
                except StopIteration:
                    return
                yield item
        finally:
            items.close()

    def close(self) -> None:
        """Close all connections; plans under way fail."""
        self.closed = True
        with translated():
            self._command.close()
            self._blocking.close()

    def run(self, calls: Sequence[Any]) -> list[Any]:
        """Run commands in one round trip.

        Raises:
            StoreError: Redis cannot be reached or refused one.
        """
        self._check_open()
        return self._commands.run(calls)

    def run_blocking(self, calls: Sequence[Any]) -> list[Any]:
        """Run commands of which the first blocks.

        Raises:
            StoreError: Redis cannot be reached or refused one.
        """
        self._check_open()
        return execute(self._blocking, calls)

    def perform_effect(self, effect: Effect) -> Any:
        """Do what a plan asks, except for subscriptions."""
        match effect:
            case Run(calls):
                return self.run(calls) if calls else []
            case ReadInbox(waiter, seconds):
                return self._inbox.read(waiter, seconds)
            case Block(call, _):
                if not self._blocks.acquire(blocking=False):
                    return Unserved.BUSY
                try:
                    return self.run_blocking([call])[0]
                finally:
                    self._blocks.release()
            case Sleep(seconds):
                return time.sleep(seconds)
            case Do(function):
                return function()
            case _:
                raise TypeError(f"no such effect: {effect!r}")

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError("the client is closed")

    def _execute(self, calls: list[Any]) -> list[Any]:
        return execute(self._command, calls, keep_refusals=True)


class _Run:
    """One plan on its way, with its subscription."""

    def __init__(self, transport: SyncTransport, plan: Plan[Any]) -> None:
        self._transport = transport
        self._plan = plan
        self._subscription: _Subscription | None = None

    def next_item(self) -> Any:
        """Go on to the next emitted item.

        Raises:
            StopIteration: the plan is done; holds its value.
        """
        reply: Any = None
        error: Exception | None = None
        while True:
            effect = advance(self._plan, reply, error)
            if isinstance(effect, Emit):
                return effect.item
            reply = error = None
            try:
                reply = self._perform(effect)
            except (StoreError, OSError) as failure:
                error = failure

    def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, Subscribe):
            self._unsubscribe()
            self._subscription = _Subscription(self._transport.endpoint, effect)
            return None
        if isinstance(effect, Listen):
            if self._subscription is None:
                raise StoreUnavailableError("not subscribed")
            return self._subscription.listen(effect.seconds)
        return self._transport.perform_effect(effect)

    def close(self) -> None:
        self._plan.close()
        self._unsubscribe()

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None


class _Subscription:
    """A connection that listens to channels."""

    def __init__(self, endpoint: Endpoint, wanted: Subscribe) -> None:
        self._early: list[bytes] = []
        self._client = endpoint.pubsub()
        self._pubsub = self._client.pubsub()  # type: ignore[no-untyped-call]
        try:
            with translated():
                if wanted.patterns:
                    self._pubsub.psubscribe(*wanted.channels)
                else:
                    self._pubsub.subscribe(*wanted.channels)
                self._confirm(len(set(wanted.channels)))
        except BaseException:
            self.close()
            raise
        self._pulse = Pulse(time.monotonic())

    def _confirm(self, awaited: int) -> None:
        end = time.monotonic() + COMMAND_TIMEOUT
        while awaited:
            left = end - time.monotonic()
            if left <= 0:
                raise StoreUnavailableError("no answer to SUBSCRIBE")
            message = self._pubsub.get_message(timeout=left)
            if message is None:
                continue
            if message["type"] in CONFIRMATIONS:
                awaited -= 1
            elif message["type"] in MESSAGES:
                self._early.append(message["data"])

    def listen(self, seconds: float) -> list[bytes]:
        """Wait for the next message.

        Raises:
            StoreUnavailableError: the connection is lost, or does not answer any more.
        """
        if self._early:
            early, self._early = self._early, []
            return early
        with translated():
            message = self._pubsub.get_message(timeout=max(seconds, SHORTEST_LISTEN))
            now = time.monotonic()
            if message:
                self._pulse.heard(now)
            elif self._pulse.is_dead(now):
                raise StoreUnavailableError(DEAD)
            elif self._pulse.is_to_ask(now):
                self._pubsub.ping()
        return [message["data"]] if message and message["type"] in MESSAGES else []

    def close(self) -> None:
        self._pubsub.close()
        self._client.close()


class _Inbox:
    """Reads the inbox, and looks at keys, for all threads that wait.

    One of them leads: it reads for the others too until its own mail has come or its time is up,
    and then lets another lead.
    """

    def __init__(self, transport: SyncTransport, core: Core) -> None:
        self._transport = transport
        self._core = core
        self._mailbox = core.mailbox
        self._key = core.inbox
        self._lock = threading.Lock()
        self._led = False
        self._parked: dict[Waiter, threading.Event] = {}

    def read(self, waiter: Waiter, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not waiter.ready:
            left = end - time.monotonic()
            event = threading.Event()
            with self._lock:
                lead = not self._led
                if lead:
                    self._led = True
                else:
                    self._parked[waiter] = event
            if lead:
                self._lead(waiter, end)
                return
            # Mail may have come before the event was there to be set.
            if not waiter.ready and left > 0:
                event.wait(left)
            with self._lock:
                self._parked.pop(waiter, None)
                if left <= 0 or waiter.ready:
                    # This thread may just have been asked to lead.
                    self._let_another_lead()
            if left <= 0:
                return

    def _lead(self, waiter: Waiter, end: float) -> None:
        try:
            while True:
                self._wake(self._transport.perform(look(self._core)))
                seconds = max(0.0, min(PACE, end - time.monotonic()))
                if not waiter.ready:
                    replies = self._transport.run_blocking(inbox_calls(self._key, seconds))
                    self._wake(self._mailbox.put(inbox_entries(replies)))
                if waiter.ready or time.monotonic() >= end:
                    return
        finally:
            with self._lock:
                self._led = False
                self._let_another_lead()

    def _wake(self, waiters: set[Waiter]) -> None:
        with self._lock:
            for waiter in waiters:
                if waiter in self._parked:
                    self._parked[waiter].set()

    def _let_another_lead(self) -> None:
        if not self._led and self._parked:
            next(iter(self._parked.values())).set()
