"""`corex cp`: files go over whole, or what was there stays as it was."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corex import Client
from corex_node.process.embedded import EmbeddedRedis
from tests.e2e.conftest import Corex, OnTerminal
from tests.helpers.eventually import eventually
from tests.helpers.nodes import COREX, NodeProcess, RunNode
from tests.helpers.proxy import Proxy
from tests.helpers.terminal import CTRL_C

SIZE = 12 * 1024 * 1024 + 17
LARGE = 2 * 1024**3
"""Bytes of a file, all holes, that is never over before a test has done what it does."""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder of this side, with the file `data` and one of holes, `large`."""
    folder = tmp_path / "here"
    folder.mkdir()
    data = folder / "data"
    data.write_bytes(hashlib.sha512(b"x").digest() * (SIZE // 64) + os.urandom(SIZE % 64))
    data.chmod(0o640)
    (folder / "large").touch()
    os.truncate(folder / "large", LARGE)
    return folder


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A folder of the node's side."""
    folder = tmp_path / "there"
    folder.mkdir()
    return folder


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """Start the command line and leave it running."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str | Path, url: str = "") -> subprocess.Popen[bytes]:
        options = ["--url", url] if url else []
        process = subprocess.Popen(
            [COREX, *options, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _under_way(folder: Path) -> None:
    """Wait until something of a copy is in a folder."""

    def size() -> int:
        return sum(path.stat().st_size for path in folder.glob("*.part"))

    eventually(lambda: size() > 1024**2, "the copying has begun", seconds=20)


@pytest.mark.usefixtures("fleet")
def test_both_ways_whole(corex: Corex, here: Path, there: Path) -> None:
    """With the source's permissions; a directory gets a file of the source's name."""
    data = (here / "data").read_bytes()
    for done in (
        corex("cp", str(here / "data"), f"web-1:{there}/copy"),
        corex("cp", str(here / "data"), f"web-1:{there}"),
        corex("cp", "--mode", "600", f"web-2:{there}/copy", f"{here}/back"),
        corex("cp", f"web-2:{there}/copy", str(here)),
    ):
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert _names(there) == ["copy", "data"]
    assert _names(here) == ["back", "copy", "data", "large"]
    modes = {}
    for path in (there / "copy", there / "data", here / "back", here / "copy"):
        assert path.read_bytes() == data
        modes[path.name] = stat.S_IMODE(path.stat().st_mode)
    assert modes == {"copy": 0o640, "data": 0o640, "back": 0o600}


@pytest.mark.usefixtures("fleet")
def test_by_pipes(corex: Corex, there: Path) -> None:
    """`-` is standard input or output; a remote copy of a copy is two commands with a pipe."""
    done = corex("cp", "-", f"web-1:{there}/f", stdin=None, input="one\ntwo\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert (there / "f").read_text() == "one\ntwo\n"
    assert corex("cp", f"web-1:{there}/f", "-").stdout == "one\ntwo\n"
    script = f"{COREX} cp web-1:{there}/f - | {COREX} cp - web-2:{there}/g"
    done = corex(script=script)
    assert (done.returncode, done.stderr) == (0, "")
    assert (there / "g").read_text() == "one\ntwo\n"


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    "arguments,code,text",
    [
        (["{here}/data", "{here}/x"], 2, "neither side is on a node"),
        (["web-1:/a", "web-2:/b"], 2, "corex cp web-1:/a - | corex cp - web-2:/b"),
        (["{here}", "web-1:{there}/x"], 2, "is a directory, and files are copied one by one"),
        (["{here}/data", "web-1:"], 2, "the path is missing"),
        (["{here}/data", ":{there}/x"], 2, "the node is missing"),
        (["{here}/data", "a b:{there}/x"], 2, "corex: node ID 'a b': "),
        (["--mode", "888", "{here}/data", "web-1:{there}/x"], 2, "0 to 777, octal"),
        (["-", "web-1:{there}"], 2, "standard input has no name"),
        (["{here}/data", "nope:{there}/x"], 3, "corex: no such node: nope"),
        (["{here}/nope", "web-1:{there}/x"], 1, "corex: {here}/nope: No such file or directory"),
        (
            ["web-1:{there}/nope", "{here}"],
            1,
            "corex: web-1:{there}/nope: path: {there}/nope: no s",
        ),
        (["web-1:{there}", "{here}/x"], 1, "the source is a directory"),
        (["{here}/data", "web-1:{there}/no/x"], 1, "corex: web-1:{there}/no/x: file: "),
        (["{here}/data", "web-1:{there}/no/"], 1, "corex: web-1:{there}/no/: path: "),
        (
            ["web-1:{here}/data", "{there}/no/x"],
            1,
            "corex: {there}/no/x: No such file or directory",
        ),
        (["web-1:{here}/data", "{there}/no/"], 1, "corex: {there}/no/: there is no such directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_goes_wrong(
    corex: Corex, here: Path, there: Path, arguments: list[str], code: int, text: str
) -> None:
    """It is said of which side and path, and nothing is left behind."""
    done = corex("cp", *(part.format(here=here, there=there) for part in arguments))
    told = " ".join(line.strip("│ ") for line in done.stderr.splitlines())
    assert text.format(here=here, there=there).replace(" ", "") in told.replace(" ", "")
    assert (done.returncode, done.stdout) == (code, "")
    assert (_names(here), _names(there)) == (["data", "large"], [])


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("width", [80, 160])
def test_progress_is_for_terminals(
    on_terminal: OnTerminal, here: Path, there: Path, width: int
) -> None:
    """One line with the rate, what was copied of how much, and how long it will take."""
    source, target = str(here / "data"), f"web-1:{there}/copy"
    with on_terminal("cp", source, target, columns=width) as terminal:
        assert terminal.ends() == 0
        (line,) = terminal.text.split("\n")
    assert line.startswith("copy ━")
    assert "12.0/12.0 MiB" in line
    assert "MB/s" in line
    assert len(line) <= width


@pytest.mark.usefixtures("fleet")
def test_no_file_goes_raw_to_a_terminal(on_terminal: OnTerminal, here: Path) -> None:
    with on_terminal("cp", f"web-1:{here}/data", "-") as terminal:
        assert terminal.ends() == 2
        assert "standard output is a terminal" in terminal.text


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("way", ["up", "down"])
def test_ctrl_c_leaves_nothing(on_terminal: OnTerminal, here: Path, there: Path, way: str) -> None:
    """On neither side: what was there is as it was, and nothing is beside it."""
    (there / "large").write_text("old")
    source, target = str(here / "large"), str(there / "large")
    sides = [source, f"web-1:{target}"] if way == "up" else [f"web-1:{source}", target]
    with on_terminal("cp", *sides) as terminal:
        _under_way(there)
        terminal.shows("/2.0 GiB")
        terminal.press(CTRL_C)
        assert terminal.ends() == 130
        assert "Traceback" not in terminal.text
    assert (there / "large").read_text() == "old"
    assert _names(there) == ["large"]


@pytest.mark.usefixtures("fleet")
def test_another_signal_does_what_ctrl_c_does(start: Start, here: Path, there: Path) -> None:
    process = start("cp", here / "large", f"web-1:{there}/large")
    _under_way(there)
    process.terminate()
    assert process.wait(20) == 143
    assert _names(there) == []


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("way", ["up", "down"])
def test_a_killed_client_leaves_what_was_there(
    start: Start, here: Path, there: Path, way: str
) -> None:
    """Half a file never has the final name."""
    (there / "large").write_text("old")
    source, target = str(here / "large"), str(there / "large")
    process = start(
        "cp", *([source, f"web-1:{target}"] if way == "up" else [f"web-1:{source}", target])
    )
    _under_way(there)
    process.kill()
    process.wait()
    assert (there / "large").read_text() == "old"


@pytest.mark.usefixtures("fleet")
def test_a_reader_that_leaves_ends_it(start: Start, here: Path) -> None:
    """`corex cp … - | head` complains of nothing."""
    process = start("cp", f"web-1:{here}/large", "-")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(3) == b"\0\0\0"
    process.stdout.close()
    assert process.wait(20) == 141
    assert process.stderr.read() == b""


@pytest.mark.parametrize("way", ["up", "down"])
def test_cuts_and_a_dead_agent_do_not_end_it(
    own_redis: EmbeddedRedis,
    run_node: RunNode,
    start: Start,
    here: Path,
    there: Path,
    way: str,
) -> None:
    """Connections are cut, then the agent is killed and started again: the file is whole."""
    node = run_node("web-1", url=own_redis.url)
    source, target = str(here / "data"), str(there / "copy")
    sides = [source, f"web-1:{target}"] if way == "up" else [f"web-1:{source}", target]
    with Proxy.before(own_redis.url) as proxy:
        proxy.delay(0.02)
        process = start("cp", *sides, url=proxy.url(own_redis.url))
        _under_way(there)
        assert proxy.cut()
        node.kill()
        assert not (there / "copy").exists()
        node.start()
        proxy.heal()
        assert process.wait(40) == 0
    assert (there / "copy").read_bytes() == (here / "data").read_bytes()
    assert _names(there) == ["copy"]


@pytest.mark.parametrize("way", ["up", "down"])
def test_when_the_time_is_up_nothing_is_left_that_can_be_reached(
    own_redis: EmbeddedRedis,
    run_node: RunNode,
    namespace: str,
    start: Start,
    here: Path,
    there: Path,
    way: str,
) -> None:
    """The network stays away: on this side all is tidy, on the other what was there is there."""
    run_node("web-1", url=own_redis.url)
    (there / "large").write_text("old")
    source, target = str(here / "large"), str(there / "large")
    sides = [source, f"web-1:{target}"] if way == "up" else [f"web-1:{source}", target]
    with Proxy.before(own_redis.url) as proxy:
        process = start("cp", "--timeout", "3", *sides, url=proxy.url(own_redis.url))
        _under_way(there)
        proxy.refuse()
        proxy.cut()
        assert process.wait(40) == 124
        assert process.stderr is not None
        assert b"not within 3 s" in process.stderr.read()
    assert (there / "large").read_text() == "old"
    if way == "down":
        assert _names(there) == ["large"]
    with Client(own_redis.url, namespace=namespace) as client:
        assert client.node("web-1").ping().startswith("PONG")


def test_a_node_that_is_gone_is_told_at_once(
    own_redis: EmbeddedRedis, run_node: RunNode, corex: Corex, here: Path, there: Path
) -> None:
    node: NodeProcess = run_node("web-1", url=own_redis.url)
    node.stop()
    done = corex("--url", own_redis.url, "cp", str(here / "data"), f"web-1:{there}/x")
    assert (done.returncode, done.stderr) == (3, "corex: node web-1 is not alive\n")
