"""Copying files, with a simulated node: what arrives, and what is left when it does not."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corex.transfer.copying import Copying, Terms, Transferred
from corex.transfer.download import Download
from corex.transfer.error import TransferError
from corex.transfer.local import Local, part_name
from corex.transfer.upload import Upload
from corex_shared.errors import WaitTimeout
from corex_shared.models import Command
from corex_shared.states import JobState
from tests.unit.client.playing import result_of
from tests.unit.client.simulated import FAULTS, Fault, SimulatedNode

BLOCK = 100
SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 8 * BLOCK, 20 * BLOCK, 20 * BLOCK + 7]
WAYS = ["up", "down"]


class Bench:
    """A source, a destination that has other content, and a way to copy."""

    def __init__(self, way: str, folder: Path, fault: Fault = lambda _: None) -> None:
        self.way = way
        self.node = SimulatedNode(fault)
        self.source = folder / "from" / "source"
        self.destination = folder / "to" / "destination"
        for path in (self.source, self.destination):
            path.parent.mkdir(exist_ok=True)
        self.destination.write_bytes(b"old")
        self.progress: list[tuple[int, int]] = []

    def fill(self, size: int) -> bytes:
        data = hashlib.sha256(str(size).encode()).digest() * (size // 32 + 1)
        self.source.write_bytes(data[:size])
        return data[:size]

    def plan(
        self,
        source: Local | None = None,
        destination: Local | None = None,
        *,
        timeout: float = 1000,
        mode: int | None = None,
    ) -> Copying:
        terms = Terms(mode, lambda *at: self.progress.append(at), timeout, BLOCK)
        kind: Callable[..., Copying] = Upload if self.way == "up" else Download
        source = source or str(self.source)
        destination = destination or str(self.destination)
        return kind(self.node.core, "n1", source, destination, terms)

    def copy(self, *where: Any, **terms: Any) -> Transferred:
        transfer = self.plan(*where, **terms)
        try:
            found: Transferred = self.node.drive(transfer.run())
        finally:
            self.node.drive(transfer.tidy())
        return found

    def watch(self) -> Iterator[int]:
        """Copy the file, stopping before each effect."""
        transfer = self.plan()
        try:
            for number, _ in enumerate(self.node.steps(transfer.run())):
                yield number
        finally:
            self.node.drive(transfer.tidy())

    def litter(self) -> list[str]:
        """What is left beside the destination, and open on the node."""
        beside = [path.name for path in self.destination.parent.iterdir()]
        return [name for name in beside if name != "destination"] + list(self.node.open)


@pytest.fixture(params=WAYS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(request.param, tmp_path)
    yield made
    made.node.close()


def _once(command: str, fault: Any, *, at: int = 0) -> Fault:
    """Do something to the one command of a name with a number."""
    numbers = itertools.count()

    def choose(asked: Command) -> Any:
        mine = asked.command == f"filesystem.{command}"
        return fault if mine and next(numbers) == at else None

    return choose


def _block(bench: Bench) -> str:
    return "write" if bench.way == "up" else "read"


@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_copied_whole(bench: Bench, size: int) -> None:
    data = bench.fill(size)
    copied = bench.copy()
    assert bench.destination.read_bytes() == data
    assert copied == Transferred(size, hashlib.sha256(data).hexdigest())
    assert bench.litter() == []
    assert bench.progress[0] == (0, size)
    assert bench.progress[-1] == (size, size)
    assert bench.progress == sorted(bench.progress)
    assert bench.node.names().count(_block(bench)) == -(-size // BLOCK)


@pytest.mark.parametrize("mode, expected", [(None, 0o751), (0o604, 0o604)])
def test_the_copy_has_the_permissions_of_the_source_or_those_asked_for(
    bench: Bench, mode: int | None, expected: int
) -> None:
    bench.fill(5)
    bench.source.chmod(0o751)
    bench.copy(mode=mode)
    assert bench.destination.stat().st_mode & 0o7777 == expected


def test_while_it_is_incomplete_nobody_else_may_read_it(bench: Bench) -> None:
    bench.fill(20 * BLOCK)
    seen: set[int] = set()
    for _ in bench.watch():
        seen |= {path.stat().st_mode & 0o777 for path in bench.destination.parent.glob("*.part")}
    assert 0o600 in seen
    assert seen <= {0o600, bench.source.stat().st_mode & 0o777}


def test_several_blocks_are_under_way_and_no_more_than_eight(bench: Bench) -> None:
    bench.fill(30 * BLOCK)
    most = 0
    for _ in bench.watch():
        waiting = [command.command for command in bench.node.waiting()]
        most = max(most, waiting.count(f"filesystem.{_block(bench)}"))
    assert most == 8


def test_blocks_that_were_read_do_not_stay_in_redis(tmp_path: Path) -> None:
    bench = Bench("down", tmp_path)
    bench.fill(200 * BLOCK)
    bench.copy()
    block = 2 * BLOCK + 500  # in base64, with the rest of a result
    assert bench.node.largest_store < 20 * block
    assert len(bench.node.stored) < 20


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", [0, 3, 19])
def test_a_block_with_a_setback_arrives_all_the_same(bench: Bench, fault: str, at: int) -> None:
    data = bench.fill(20 * BLOCK)
    bench.node.fault = _once(_block(bench), fault, at=at)
    bench.copy()
    assert bench.destination.read_bytes() == data
    assert bench.litter() == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", ["stat", "open", "close", "checksum", "chmod", "move"])
def test_any_other_step_with_a_setback_is_done_again(
    bench: Bench, command: str, fault: str
) -> None:
    data = bench.fill(3 * BLOCK)
    bench.node.fault = _once(command, fault)
    bench.copy()
    assert bench.destination.read_bytes() == data
    assert bench.litter() == []


def test_it_goes_on_where_it_was(bench: Bench) -> None:
    bench.fill(40 * BLOCK)
    bench.node.fault = _once(_block(bench), "after", at=30)
    bench.copy()
    assert bench.node.names().count(_block(bench)) <= 40 + 2 * 8
    assert bench.progress == sorted(bench.progress)


def test_an_outage_of_redis_is_outlived(bench: Bench) -> None:
    data = bench.fill(20 * BLOCK)
    for number in bench.watch():
        if number % 30 == 5:
            bench.node.outages = 7  # longer than one push is repeated by itself
    assert bench.destination.read_bytes() == data


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), way=st.sampled_from(WAYS))
def test_whatever_happens_the_copy_is_whole_or_there_is_none(
    data: st.DataObject, way: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Setbacks and outages anywhere, with enough time or not; left at any moment or not."""
    bench = Bench(way, tmp_path_factory.mktemp("bench"))
    content = bench.fill(data.draw(st.integers(0, 12 * BLOCK)))
    faults = data.draw(st.lists(st.sampled_from((None, None, *FAULTS)), max_size=40))
    queue = iter(faults)
    bench.node.fault = lambda _: next(queue, None)
    outages = data.draw(st.sets(st.integers(0, 60), max_size=5))
    left_at = data.draw(st.none() | st.integers(0, 60))
    transfer = bench.plan(timeout=data.draw(st.sampled_from([3, 1e6])))
    plan = transfer.run()
    whole = False
    try:
        for number, _ in enumerate(bench.node.steps(plan)):
            if number == left_at:
                plan.close()
                break
            if number in outages:
                bench.node.outages = 3
        else:
            whole = True
    except WaitTimeout:
        pass
    bench.node.outages = 0
    bench.node.fault = lambda _: None
    bench.node.drive(transfer.tidy())
    try:
        found = bench.destination.read_bytes()
        assert found == content or (found == b"old" and not whole)
        assert bench.litter() == []
    finally:
        bench.node.close()


@pytest.mark.parametrize(
    "way, command",
    [
        *(("up", command) for command in ("open", "write", "checksum", "chmod", "move")),
        *(("down", command) for command in ("open", "read", "checksum")),
    ],
)
def test_a_refusal_ends_it_with_the_nodes_reason_and_leaves_nothing(
    tmp_path: Path, way: str, command: str
) -> None:
    bench = Bench(way, tmp_path)
    bench.fill(5 * BLOCK)
    refusal = result_of("x", code=500, state=JobState.ERROR, data='"disk: full"')
    bench.node.fault = _once(command, refusal, at=2 if command in ("write", "read") else 0)
    with pytest.raises(TransferError, match="disk: full") as caught:
        bench.copy()
    assert caught.value.result is not None
    assert caught.value.result.code == 500
    assert caught.value.total == 5 * BLOCK
    assert f"({caught.value.done} of 500 bytes were copied)" in str(caught.value)
    if command in ("write", "read"):
        assert caught.value.done == 2 * BLOCK
    assert bench.destination.read_bytes() == b"old"
    assert bench.litter() == []


def test_a_node_that_is_not_there_is_waited_for_within_the_time(bench: Bench) -> None:
    bench.fill(5)
    bench.node.answers = False
    with pytest.raises(WaitTimeout, match="not within 20 s"):
        bench.copy(timeout=20)
    assert bench.node.clock.now < 1000 + 20 + 15
    assert bench.destination.read_bytes() == b"old"


def test_a_node_that_goes_away_is_told_how_far_it_came(bench: Bench) -> None:
    bench.fill(20 * BLOCK)

    def go(command: Command) -> None:
        if len(bench.progress) > 5:
            bench.node.answers = False

    bench.node.fault = go
    with pytest.raises(
        WaitTimeout, match=r"\(\d{3,4} of 2000 bytes were copied\): not within 60 s"
    ):
        bench.copy(timeout=60)
    assert bench.destination.read_bytes() == b"old"


def test_the_time_is_for_all_of_it_however_well_it_goes(bench: Bench) -> None:
    """Nothing more is asked when the time is up, though answers are there already."""
    bench.fill(20 * BLOCK)
    with pytest.raises(WaitTimeout, match=r"\([12]00 of 2000 bytes were copied\): not within 30 s"):
        _drive_until_late(bench)
    assert bench.litter() == []


def _drive_until_late(bench: Bench) -> None:
    """Copy, and let the time be over when the first block has come."""
    transfer = bench.plan(timeout=30)
    try:
        for _ in bench.node.steps(transfer.run()):
            if bench.progress[-1:] == [(BLOCK, 20 * BLOCK)]:
                bench.node.clock.now = 2000
    finally:
        bench.node.drive(transfer.tidy())


def test_what_a_node_did_not_take_in_time_is_taken_back_or_undone(tmp_path: Path) -> None:
    """A node that comes back after all finds no more than the order to tidy."""
    bench = Bench("up", tmp_path)
    bench.fill(20 * BLOCK)

    def go(command: Command) -> None:
        if len(bench.progress) > 5:
            bench.node.answers = False

    bench.node.fault = go
    with pytest.raises(WaitTimeout):
        bench.copy(timeout=60)
    names = [command.command for command in bench.node.waiting()]
    assert names == ["filesystem.close", "filesystem.remove"]
    assert len(bench.litter()) == 2
    bench.node.answers = True
    bench.node.fault = lambda _: None
    bench.copy()
    assert bench.litter() == []


def test_a_descriptor_that_was_opened_too_late_is_closed(bench: Bench) -> None:
    """The node opens the file when the time is up, and what was made with it is removed."""
    bench.fill(5)
    bench.node.fault = _once("open", "held")
    transfer = bench.plan(timeout=50)
    with pytest.raises(WaitTimeout):
        bench.node.drive(transfer.run())
    assert len(bench.node.open) == 1
    bench.node.release()
    bench.node.drive(transfer.tidy())
    assert bench.litter() == []


@pytest.mark.parametrize("effects", range(0, 40, 3))
def test_leaving_it_at_any_moment_leaves_nothing(bench: Bench, effects: int) -> None:
    data = bench.fill(5 * BLOCK)
    transfer = bench.plan()
    bench.node.drive(transfer.run(), effects=effects)
    bench.node.drive(transfer.tidy())
    assert bench.destination.read_bytes() in (b"old", data)
    assert bench.litter() == []


def test_a_file_that_grows_on_the_node_is_noticed(tmp_path: Path) -> None:
    bench = Bench("down", tmp_path)
    bench.fill(20 * BLOCK)

    def grow(command: Command) -> None:
        if command.command == "filesystem.close":
            with bench.source.open("ab") as file:
                file.write(b"more")

    bench.node.fault = grow
    with pytest.raises(TransferError, match="changed while it was read"):
        bench.copy()
    assert bench.destination.read_bytes() == b"old"
    assert bench.litter() == []


def test_a_file_that_shrinks_on_the_node_is_noticed(tmp_path: Path) -> None:
    bench = Bench("down", tmp_path)
    bench.fill(20 * BLOCK)
    numbers = itertools.count()

    def shrink(command: Command) -> None:
        if command.command == "filesystem.read" and next(numbers) == 10:
            os.truncate(bench.source, 5)

    bench.node.fault = shrink
    with pytest.raises(TransferError, match=r"changed while it was read \(1000 of 2000"):
        bench.copy()
    assert bench.destination.read_bytes() == b"old"


def test_a_file_that_is_rewritten_on_the_node_is_noticed_by_its_checksum(tmp_path: Path) -> None:
    bench = Bench("down", tmp_path)
    bench.fill(20 * BLOCK)
    before = bench.source.stat()

    def rewrite(command: Command) -> None:
        if command.command == "filesystem.close":
            with bench.source.open("r+b") as file:
                file.write(b"other")
            os.utime(bench.source, ns=(before.st_atime_ns, before.st_mtime_ns))

    bench.node.fault = rewrite
    with pytest.raises(TransferError, match="changed while it was read: its sha256 is"):
        bench.copy()


def test_a_source_here_that_is_changed_is_noticed(tmp_path: Path) -> None:
    bench = Bench("up", tmp_path)
    bench.fill(20 * BLOCK)
    numbers = itertools.count()

    def grow(command: Command) -> None:
        if command.command == "filesystem.write" and next(numbers) == 3:
            with bench.source.open("ab") as file:
                file.write(b"more")

    bench.node.fault = grow
    with pytest.raises(TransferError, match="the source was changed while it was read"):
        bench.copy()
    assert bench.litter() == []


@pytest.mark.parametrize("spoil", [b"", b"x"])
def test_a_copy_that_is_spoilt_on_the_node_is_noticed(tmp_path: Path, spoil: bytes) -> None:
    bench = Bench("up", tmp_path)
    bench.fill(3 * BLOCK)

    def change(command: Command) -> None:
        if command.command == "filesystem.close":
            (part,) = bench.destination.parent.glob("*.part")
            part.write_bytes(part.read_bytes()[len(spoil) :] + b"!")

    bench.node.fault = change
    with pytest.raises(TransferError, match=r"301 bytes|other content"):
        bench.copy()
    assert bench.destination.read_bytes() == b"old"
    assert bench.litter() == []


def test_a_part_that_vanishes_in_the_middle_is_an_error(tmp_path: Path) -> None:
    bench = Bench("up", tmp_path)
    bench.fill(40 * BLOCK)
    numbers = itertools.count()

    def vanish(command: Command) -> Any:
        if command.command == "filesystem.write" and next(numbers) == 20:
            next(bench.destination.parent.glob("*.part")).unlink()
            return "after"
        return None

    bench.node.fault = vanish
    with pytest.raises(TransferError, match="404"):
        bench.copy()
    assert bench.destination.read_bytes() == b"old"


def test_a_node_that_forgets_every_descriptor_at_once_is_given_up(bench: Bench) -> None:
    bench.fill(3 * BLOCK)

    def forget(command: Command) -> None:
        if command.command == f"filesystem.{_block(bench)}":
            bench.node.close()

    bench.node.fault = forget
    with pytest.raises(TransferError, match="not open"):
        bench.copy()
    assert bench.node.clock.now < 1000 + 60
    assert bench.litter() == []


def test_a_directory_is_no_destination(bench: Bench) -> None:
    bench.fill(5)
    bench.destination.unlink()
    bench.destination.mkdir()
    with pytest.raises((TransferError, IsADirectoryError), match=r"directory|path of a file"):
        bench.copy()
    assert bench.node.names() in ([], ["stat"])  # before anything is copied
    assert list(bench.destination.iterdir()) == []
    assert bench.litter() == []


def test_a_directory_is_no_source(bench: Bench) -> None:
    with pytest.raises((TransferError, IsADirectoryError), match="directory"):
        bench.copy(str(bench.source.parent))
    assert bench.litter() == []


def test_a_source_that_is_not_there(bench: Bench) -> None:
    with pytest.raises((TransferError, FileNotFoundError), match=r"source.*404|No such file"):
        bench.copy()
    assert bench.litter() == []


@pytest.mark.parametrize("destination", ["", "/", "a/", "a/..", "."])
def test_a_path_that_cannot_be_a_file_is_refused_before_anything_is_sent(
    tmp_path: Path, destination: str
) -> None:
    bench = Bench("up", tmp_path)
    with pytest.raises(ValueError, match="not the path of a file"):
        Upload(bench.node.core, "n1", "x", destination, Terms())
    bench.fill(5)
    bench.way = "down"
    with pytest.raises(IsADirectoryError):
        bench.copy(None, str(tmp_path) + "/nothing/")


def test_a_destination_with_the_longest_name_there_is(bench: Bench) -> None:
    data = bench.fill(5)
    longest = bench.destination.with_name("é" * 127 + "x")
    bench.copy(None, str(longest))
    assert longest.read_bytes() == data
    assert len(part_name(longest.name).encode()) <= 255


def test_files_of_the_caller_are_copied_from_where_they_stand_and_left_open(
    tmp_path: Path,
) -> None:
    bench = Bench("up", tmp_path)
    source = io.BytesIO(b"skipped" + b"x" * 950)
    source.seek(7)
    assert bench.copy(source).size == 950
    assert bench.progress[0] == (0, 950)
    assert bench.destination.read_bytes() == b"x" * 950
    assert bench.destination.stat().st_mode & 0o777 == 0o644
    assert not source.closed
    bench = Bench("down", tmp_path)
    data = bench.fill(950)
    target = io.BytesIO()
    bench.copy(None, target)
    assert target.getvalue() == data
    assert not target.closed


class Dribble(io.BytesIO):
    """A file that gives little at once, and does not tell how long it is."""

    def seekable(self) -> bool:
        return False

    def read(self, size: int | None = -1) -> bytes:
        return super().read(7)


def test_a_source_without_a_known_end_is_copied_however_small_its_pieces(tmp_path: Path) -> None:
    bench = Bench("up", tmp_path)
    assert bench.copy(Dribble(b"0123456" * 69 + b"012")).size == 486
    assert bench.destination.read_bytes() == b"0123456" * 69 + b"012"
    assert bench.node.names().count("write") == 5
    assert bench.progress[-1] == (486, 486)


def test_a_pipe_is_copied_to_its_end(tmp_path: Path) -> None:
    bench = Bench("up", tmp_path)
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as source:
        os.write(writer, b"x" * 490)
        os.close(writer)
        assert bench.copy(source).size == 490
    assert bench.destination.read_bytes() == b"x" * 490
    assert bench.destination.stat().st_mode & 0o777 == 0o644


def test_a_file_in_text_mode_is_refused(tmp_path: Path) -> None:
    bench = Bench("up", tmp_path)
    text: Any = io.StringIO("text")
    with pytest.raises(TypeError, match="open in binary mode"):
        bench.copy(text)
    assert bench.litter() == []


def test_a_full_disk_here_ends_it_with_how_far_it_came(tmp_path: Path) -> None:
    bench = Bench("down", tmp_path)
    bench.fill(20 * BLOCK)

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() >= 3 * BLOCK:
                raise OSError(28, "No space left on device")
            return super().write(data)

    with pytest.raises(TransferError, match=r"No space left.*\(300 of 2000"):
        bench.copy(None, Full())
    assert bench.litter() == []


def test_an_error_of_the_progress_callback_ends_it_as_it_is(bench: Bench) -> None:
    bench.fill(5 * BLOCK)

    def progress(done: int, total: int) -> None:
        if done:
            raise BrokenPipeError("nobody listens")

    kind = Upload if bench.way == "up" else Download
    terms = Terms(progress=progress, block=BLOCK)
    transfer = kind(bench.node.core, "n1", str(bench.source), str(bench.destination), terms)
    with pytest.raises(BrokenPipeError, match="nobody listens"):
        bench.node.drive(transfer.run())
    bench.node.drive(transfer.tidy())
    assert bench.litter() == []


@pytest.mark.parametrize(
    "way, command, data",
    [
        ("up", "stat", '"x"'),
        ("down", "stat", '{"size": -1, "mode": 1, "is_dir": false}'),
        ("down", "stat", '{"size": 1e30, "mode": 1, "is_dir": false}'),
        ("up", "open", "5"),
        ("down", "open", "null"),
        ("down", "read", '"not base64!"'),
        ("down", "read", "null"),
        ("up", "write", "1"),
        ("up", "checksum", "[]"),
        ("down", "checksum", "{"),
    ],
)
def test_an_answer_that_makes_no_sense_ends_it(
    tmp_path: Path, way: str, command: str, data: str
) -> None:
    bench = Bench(way, tmp_path)
    bench.fill(5)
    bench.node.fault = _once(command, result_of("x", data=data, level=20))
    with pytest.raises(TransferError, match=f"filesystem.{command}: answer"):
        bench.copy()
    assert bench.destination.read_bytes() == b"old"
    bench.node.close()


def test_more_than_was_asked_for_is_refused(tmp_path: Path) -> None:
    bench = Bench("down", tmp_path)
    bench.fill(5)
    bench.node.fault = _once("read", result_of("x", data='"' + "AAAA" * 100 + '"', level=20))
    with pytest.raises(TransferError, match="changed"):
        bench.copy()
    assert "checksum" not in bench.node.names()
    assert bench.litter() == []
