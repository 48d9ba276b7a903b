"""What the keys of `corex top` do, and what is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex.cli.screen.board import Board, Kill, Quit, Room
from corex.cli.screen.picture import Frame, draw, room_of
from corex.questions.jobs import JobCommand, JobEntry
from corex_shared.models import NodeInfo

NOW = 10_000_000


def _node(name: str, load: float = 0.0, *, alive: bool = True) -> NodeInfo:
    return NodeInfo(name, alive=alive, last_seen=NOW, load=load, slots=9, running=1)


def _job(job: str, cpu: float = 0.0, rss: int = 0, started: int = 0) -> JobEntry:
    command = JobCommand(job, "core.system", {"name": "sleep", "args": [job]})
    return JobEntry(command, "running", 7, started, cpu, rss)


@pytest.fixture
def board() -> Board:
    """Three nodes, one of them gone, with three jobs."""
    made = Board()
    made.heard_nodes([_node("a", 1.0), _node("b", 2.0), _node("c", alive=False)], NOW)
    made.heard_jobs("a", [_job("j1", 5.0, 300, 3), _job("j2", 50.0, 100, 2)])
    made.heard_jobs("b", [_job("j3", 9.0, 200, 1)])
    return made


def _jobs(board: Board) -> list[str]:
    return [job.entry.id for job in board.shown_jobs()[0]]


def _chosen(board: Board) -> str:
    jobs, top, at = board.shown_jobs()
    return jobs[at - top].entry.id


def _press(board: Board, *keys: str) -> list[object]:
    return [board.press(key) for key in keys]


def test_jobs_are_sorted(board: Board) -> None:
    """By processor first; each `s` sorts by the next thing."""
    orders = []
    for _ in range(5):
        orders.append(_jobs(board))
        board.press("s")
    by_cpu, by_memory = ["j2", "j3", "j1"], ["j1", "j3", "j2"]
    assert orders == [by_cpu, by_memory, ["j3", "j2", "j1"], ["j1", "j2", "j3"], by_cpu]


def test_nodes_are_sorted_when_the_keys_are_theirs(board: Board) -> None:
    _press(board, "tab", "s")
    assert [view.info.id for view in board.shown_nodes()[0]] == ["b", "a", "c"]


def test_the_choice_stays_with_its_job(board: Board) -> None:
    """However jobs are sorted; when it has gone, the choice goes to what has its place."""
    board.shown_jobs()
    _press(board, "down")
    assert _chosen(board) == "j3"
    board.heard_jobs("b", [_job("j3", 99.0)])
    assert (_chosen(board), _jobs(board)) == ("j3", ["j3", "j2", "j1"])
    board.heard_jobs("b", [])
    assert _chosen(board) == "j2"
    _press(board, "end", "down", "j")
    assert _chosen(board) == "j1"
    _press(board, "home", "up", "k")
    assert _chosen(board) == "j2"


def test_a_kill_is_asked_for_and_then_confirmed(board: Board) -> None:
    """Only `y` confirms; of the job that was asked about, whatever came meanwhile."""
    board.shown_jobs()
    assert _press(board, "x", "x") == [None, None]
    assert board.message == "not killed"
    assert _press(board, "x") == [None]
    board.heard_jobs("b", [_job("j9", 99.0)])
    assert board.press("y") == Kill("a", "j2")
    assert board.press("y") is None


def test_nothing_to_kill() -> None:
    board = Board()
    assert board.press("x") is None
    assert (board.asking, board.message) == (None, "there is no job to kill")


def test_a_filter_is_typed(board: Board) -> None:
    """It shows at once what fits; Escape brings back what was there, Enter keeps it."""

    def names() -> list[str]:
        return [view.info.id for view in board.shown_nodes()[0]]

    _press(board, "/", "b", "q")
    assert (names(), _jobs(board)) == ([], [])
    _press(board, "backspace")
    assert (names(), _jobs(board)) == (["b"], ["j3"])
    _press(board, "escape")
    assert names() == ["a", "b", "c"]
    _press(board, "/", *"[ab]", "enter")
    assert names() == ["a", "b"]
    _press(board, "escape")
    assert names() == ["a", "b", "c"]


def test_the_end(board: Board) -> None:
    assert board.press("q") == Quit()


def test_only_what_is_on_the_screen_is_asked_for() -> None:
    """And only of nodes that are there; what is no longer on it is forgotten."""
    board = Board()
    infos = [_node(f"n{number:03}", alive=number != 1) for number in range(1000)]
    board.heard_nodes(infos, NOW)
    board.set_room(Room(5, 5))
    assert board.to_ask() == ["n000", "n002", "n003", "n004"]
    board.heard_jobs("n000", [_job("j1")])
    _press(board, "tab", "end")
    assert board.to_ask() == [f"n{number}" for number in range(995, 1000)]
    board.forget_unseen(board.to_ask())
    assert board.nodes["n000"].jobs == []


keys = st.sampled_from(["up", "down", "tab", "s", "x", "y", "/", "b", "enter", "escape", "G", "g"])


@given(
    st.lists(keys, max_size=25),
    st.integers(min_value=1, max_value=170),
    st.integers(min_value=1, max_value=40),
)
def test_every_picture_fits(pressed: list[str], width: int, height: int) -> None:
    """Whatever the size of the screen and whatever was pressed."""
    board = Board()
    board.heard_nodes([_node(f"n{number}", number / 3) for number in range(30)], NOW)
    for number in range(30):
        board.heard_jobs(f"n{number}", [_job(f"j{number}", number)])
        board.heard_usage(f"n{number}", number * 3.0, None, 2)
    board.heard_nothing("n3")
    for key in pressed:
        board.press(key)
        lines = draw(board, Frame(width, height, "note")).split("\n", allow_blank=True)
        assert len(lines) <= height
        assert all(line.cell_len <= width for line in lines)
    room = room_of(height, 30)
    assert room.nodes >= 1
    assert room.jobs >= 1
