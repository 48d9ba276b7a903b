"""Files that are held open for commands."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.builtins.files.descriptors import DescriptorTable
from corex_node.builtins.files.open_mode import parse_open_mode
from corex_shared.errors import NotFoundError, ServiceUnavailableError
from tests.helpers.eventually import eventually, eventually_async

READ = parse_open_mode("r")
IDLE = 300.0


class Bench:
    """A table with a clock of its own."""

    def __init__(self, path: Path, most: int = 3) -> None:
        self.path = path
        self.time = 1000.0
        self.table = DescriptorTable(most, IDLE, lambda: self.time)

    def open(self) -> str:
        """Open the file once more."""
        return self.table.open(str(self.path), READ, 0)

    def read(self, descriptor: str) -> bytes:
        """Read the first byte."""
        with self.table.using(descriptor) as file:
            return file.read(1, 0)

    def held(self) -> int:
        """How often this process really has the file open."""
        return open_in_this_process(self.path)


def open_in_this_process(path: Path) -> int:
    """Count descriptors of a file."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found += os.readlink(f"/proc/self/fd/{name}") == str(path)
    return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    made = Bench(path)
    yield made
    made.table.close_all()
    assert made.held() == 0


def test_names_cannot_be_guessed(bench: Bench) -> None:
    """Each is of 128 bits, and never one again."""
    names = set()
    for _ in range(50):
        name = bench.open()
        names.add(name)
        bench.table.close(name)
    assert len(names) == 50
    assert {len(bytes.fromhex(name)) for name in names} == {16}


def test_only_so_many_are_open(bench: Bench) -> None:
    """One more is refused until one is closed; what cannot be opened takes no place."""
    names = [bench.open() for _ in range(3)]
    for _ in range(5):
        with pytest.raises(ServiceUnavailableError, match=r"^file: 3 files are open"):
            bench.open()
    bench.table.close(names[0])
    for _ in range(5):
        with pytest.raises(NotFoundError):
            bench.table.open(str(bench.path) + "-none", READ, 0)
    bench.open()
    assert (len(bench.table), bench.held()) == (3, 3)


def test_only_so_many_when_all_come_at_once(bench: Bench) -> None:
    """Places are counted while files are still being opened."""
    start = threading.Barrier(20)

    def try_to_open(_: int) -> bool:
        start.wait()
        try:
            bench.open()
        except ServiceUnavailableError:
            return False
        return True

    with ThreadPoolExecutor(20) as threads:
        assert sum(threads.map(try_to_open, range(20))) == 3
    assert bench.held() == 3


def test_idle_ones_are_closed(bench: Bench) -> None:
    """Time counts from the last use of each."""
    used, unused = bench.open(), bench.open()
    bench.time += IDLE - 1
    assert bench.read(used) == b"x"
    bench.time += 1
    bench.table.close_idle()
    assert bench.held() == 1
    assert bench.read(used) == b"x"
    with pytest.raises(NotFoundError, match=r"^fd: "):
        bench.read(unused)
    bench.time += IDLE
    with pytest.raises(NotFoundError):  # even if nobody has looked yet
        bench.read(used)
    bench.table.close_idle()
    assert bench.held() == 0


def test_idle_ones_make_room(bench: Bench) -> None:
    """When there are too many, those that are due are closed first."""
    for _ in range(3):
        bench.open()
    bench.time += IDLE
    bench.open()
    assert bench.held() == 1


def test_one_in_use_is_not_idle(bench: Bench) -> None:
    """Its time begins when it has been used."""
    name = bench.open()
    with bench.table.using(name) as file:
        bench.time += 2 * IDLE
        bench.table.close_idle()
        assert file.read(1) == b"x"
    bench.time += IDLE - 1
    assert bench.read(name) == b"x"


def test_one_in_use_is_closed_after_that(bench: Bench) -> None:
    """Nobody's file is closed beneath him, and nobody gets it afterwards."""
    name = bench.open()
    with bench.table.using(name) as file:
        bench.table.close(name)
        assert file.read(1) == b"x"
        with pytest.raises(NotFoundError):
            bench.read(name)
    assert bench.held() == 0


def test_one_command_at_a_time(bench: Bench) -> None:
    """The second waits for the first, and does not get what was closed meanwhile."""
    name = bench.open()
    results: list[object] = []

    def read() -> None:
        try:
            results.append(bench.read(name))
        except NotFoundError as error:
            results.append(error)

    with ThreadPoolExecutor(2) as threads:
        with bench.table.using(name):
            waiting = threads.submit(read)
            with pytest.raises(TimeoutError):
                waiting.result(0.1)
            assert results == []
        waiting.result(10)
        assert results == [b"x"]
        with bench.table.using(name):
            waiting = threads.submit(read)
            with pytest.raises(TimeoutError):
                waiting.result(0.1)
            bench.table.close(name)
        waiting.result(10)
    assert isinstance(results[1], NotFoundError)


def test_only_so_many_wait_for_one(bench: Bench) -> None:
    """A file that hangs does not take all threads."""
    name = bench.open()
    refused = []

    def read(_: int) -> None:
        try:
            bench.read(name)
        except ServiceUnavailableError:
            refused.append(1)

    with ThreadPoolExecutor(40) as threads:
        with bench.table.using(name):
            for number in range(40):
                threads.submit(read, number)
            eventually(lambda: len(refused) >= 40 - 15, "most are refused")
        threads.shutdown()
    assert len(refused) == 40 - 15


def test_closing_what_is_not_there(bench: Bench) -> None:
    """It is no error, and does nothing to others."""
    name = bench.open()
    for other in ("", "3", name.upper() + "x", name[:-1], "../" + name):
        bench.table.close(other)
    assert bench.read(name) == b"x"
    bench.table.close(name)
    bench.table.close(name)


async def test_the_component_closes_what_is_idle_and_in_the_end_all(tmp_path: Path) -> None:
    """It looks by itself, and what is left goes with it."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    table = DescriptorTable(10, 0.1)
    running = asyncio.create_task(table.run())
    table.open(str(path), READ, 0)
    await eventually_async(lambda: open_in_this_process(path) == 0, "closed for idleness")
    left = table.open(str(path), READ, 0)
    running.cancel()
    await asyncio.wait([running])
    await eventually_async(lambda: open_in_this_process(path) == 0, "closed with the component")
    with pytest.raises(NotFoundError), table.using(left):
        pass


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.just(0.0)),
        st.tuples(st.sampled_from(["use", "close"]), st.integers(0, 9).map(float)),
        st.tuples(st.just("pass"), st.floats(0, 2 * IDLE)),
        st.tuples(st.just("sweep"), st.just(0.0)),
    ),
    max_size=60,
)


@given(steps=STEPS)
def test_whatever_is_done_the_table_is_what_it_says(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, float]]
) -> None:
    """Checked against a model: which names work, and how many files are really open."""
    path = tmp_path_factory.getbasetemp() / "property"
    path.write_bytes(b"x")
    bench = Bench(path, most=4)
    used_at: dict[str, float] = {}
    names: list[str] = []
    for step, value in steps:
        alive = {name for name, at in used_at.items() if bench.time - at < IDLE}
        if step == "open":
            if len(alive) < 4:
                names.append(bench.open())
                used_at[names[-1]] = bench.time
            else:
                with pytest.raises(ServiceUnavailableError):
                    bench.open()
        elif step == "pass":
            bench.time += value
        elif step == "sweep":
            bench.table.close_idle()
            assert bench.held() == len(alive) == len(bench.table)
        elif names:
            name = names[int(value) % len(names)]
            if step == "close":
                bench.table.close(name)
                used_at.pop(name, None)
            elif name in alive:
                assert bench.read(name) == b"x"
                used_at[name] = bench.time
            else:
                with pytest.raises(NotFoundError):
                    bench.read(name)
        assert len(alive & used_at.keys()) <= bench.held() <= 4
    bench.table.close_all()
    assert bench.held() == 0
