"""Results heard on the client's inbox, handed to those who wait or kept for those who will.

A node pushes one entry to the sender's inbox for each finished job: the whole result, or, when
that is large, a map with only the job's `id`, which means "fetch it". An entry is a hint; the
result key is the truth. So the store is bounded, and what falls out of it costs its waiter one
look at the key.

The one thing that only an entry tells is `DUPLICATE_ID`: the result key of a used ID belongs to
the job that had it first. Mail about a second use of an ID is filed under a key of its own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import TypeVar

from msgspec import Struct

from corex_shared.codec import decode_map, decode_result
from corex_shared.errors import DecodeError
from corex_shared.identifiers import is_valid_id
from corex_shared.models import JobResult
from corex_shared.states import JobState

MAILBOX_LIMIT = 100_000
"""Entries kept for jobs that nobody waits for yet."""
GIVEN_SECONDS = 300.0
"""How long a job whose result was not heard keeps its ID from being used anew."""

T = TypeVar("T")


class Mail(Struct, frozen=True):
    """One entry: filed under `key`; `result` is None when it has to be fetched."""

    key: str
    job: str
    result: JobResult | None


def duplicate_key(job: str) -> str:
    """Name the mail about a second use of a job ID; no ID contains the mark."""
    return f"!{job}"


def found_key(job: str) -> str:
    """Name the mail about a result that was found at its key; no ID contains the mark."""
    return f"={job}"


class Waiter:
    """One who waits for mail under some keys.

    Attributes:
        keys: what it waits for.
        ready: mail that came, oldest first.
    """

    __slots__ = ("keys", "ready")

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = tuple(keys)
        self.ready: deque[Mail] = deque()

    def take(self) -> list[Mail]:
        """Take all mail that came."""
        taken = []
        while self.ready:
            taken.append(self.ready.popleft())
        return taken


class _Bounded(dict[str, T]):
    """A dict that forgets what was put into it first."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __setitem__(self, key: str, value: T) -> None:
        super().__setitem__(key, value)
        while len(self) > self._limit:
            del self[next(iter(self))]


class Mailbox:
    """The store. All methods may be called from any thread."""

    def __init__(self, limit: int = MAILBOX_LIMIT) -> None:
        self._lock = threading.Lock()
        self._waiters: dict[str, list[Waiter]] = {}
        self._kept: _Bounded[Mail] = _Bounded(limit)
        self._repeated: _Bounded[None] = _Bounded(limit)
        self._reused: _Bounded[None] = _Bounded(limit)
        self._given: _Bounded[float] = _Bounded(limit)

    def open(self, keys: Iterable[str]) -> Waiter:
        """Begin to wait; what is kept under the keys is ready at once."""
        waiter = Waiter(keys)
        with self._lock:
            for key in waiter.keys:
                self._waiters.setdefault(key, []).append(waiter)
                mail = self._kept.pop(key, None)
                if mail is not None:
                    waiter.ready.append(mail)
        return waiter

    def close(self, waiter: Waiter) -> None:
        """Stop waiting; mail that came and was not taken is kept."""
        with self._lock:
            for key in waiter.keys:
                others = self._waiters.get(key, [])
                if waiter in others:
                    others.remove(waiter)
                if not others:
                    self._waiters.pop(key, None)
            for mail in waiter.take():
                if mail.key != found_key(mail.job):
                    self._kept[mail.key] = mail

    def put(self, entries: Iterable[bytes]) -> set[Waiter]:
        """File entries of the inbox; one that cannot be read is passed over.

        Returns:
            The waiters that have mail now.
        """
        mails = [mail for entry in entries if (mail := self._read(entry)) is not None]
        return self._file(mails)

    def bring(self, mails: Iterable[Mail]) -> set[Waiter]:
        """Hand out what was found at result keys; nothing of it is kept.

        Returns:
            The waiters that have mail now.
        """
        woken: set[Waiter] = set()
        with self._lock:
            for mail in mails:
                for waiter in self._waiters.get(mail.key, ()):
                    waiter.ready.append(mail)
                    woken.add(waiter)
        return woken

    def note_repeated(self, job: str) -> None:
        """Remember that a command may have been pushed twice: its second copy is no news."""
        with self._lock:
            self._repeated[job] = None

    def note_withdrawn(self, job: str) -> None:
        """Remember that a job of this client was ended here before a node had accepted it.

        One that has claimed it in between takes it for the duplicate of an ID with a result, and
        may say so before the result is told: that is no news.
        """
        with self._lock:
            self._repeated[job] = None
            kept = self._kept.get(job)
            if kept is not None and _is_duplicate(kept):
                del self._kept[job]

    def note_given(self, job: str, now: float) -> bool:
        """Remember that the caller chose this ID.

        Args:
            job: the ID.
            now: seconds of the client's clock.

        Returns:
            Whether it was chosen not long before for a job whose result has not been heard yet.
        """
        with self._lock:
            before = self._given.pop(job, None)
            self._given[job] = now
            return before is not None and now - before < GIVEN_SECONDS

    def note_reused(self, job: str) -> None:
        """Remember that the ID belongs to an earlier job: duplicates are filed apart."""
        with self._lock:
            self._reused[job] = None
            self._repeated.pop(job, None)

    def _read(self, entry: bytes) -> Mail | None:
        try:
            result = decode_result(entry)
        except DecodeError:
            return _read_hint(entry)
        if result.state is JobState.DUPLICATE_ID:
            if result.id in self._repeated:
                return None
            if result.id in self._reused:
                return Mail(duplicate_key(result.id), result.id, result)
        return Mail(result.id, result.id, result)

    def _file(self, mails: list[Mail]) -> set[Waiter]:
        woken: set[Waiter] = set()
        with self._lock:
            for mail in mails:
                if mail.key == mail.job:
                    self._given.pop(mail.job, None)
                waiters = self._waiters.get(mail.key)
                if waiters is None:
                    self._kept[mail.key] = mail
                    continue
                for waiter in waiters:
                    waiter.ready.append(mail)
                    woken.add(waiter)
        return woken


def _is_duplicate(mail: Mail) -> bool:
    return mail.result is not None and mail.result.state is JobState.DUPLICATE_ID


def _read_hint(entry: bytes) -> Mail | None:
    """Read an entry that is not a result: a map with the ID of a finished job, or junk."""
    try:
        fields = decode_map(entry)
    except DecodeError:
        return None
    job = fields.get("id")
    if "state" in fields or not is_valid_id(job):
        return None
    return Mail(str(job), str(job), None)
