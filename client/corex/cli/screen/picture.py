"""Drawing a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corex.cli.command_text import command_text
from corex.cli.escape import safe_cell
from corex.cli.nodes import STYLES, state_of
from corex.cli.ps import STAGE_STYLES, age_of
from corex.cli.screen.board import JOB_SORTS, NODE_SORTS, Board, JobView, NodeView, Room
from corex.cli.screen.graph import sparkline
from corex.cli.table import Cell, Column, lines_of
from corex.cli.units import percent, size

if TYPE_CHECKING:
    from rich.text import Text

FRAME = 5
"""Lines that are neither a node nor a job: title, two heads, a blank one, footer."""
_NARROW, _GRAPH, _LONGEST_GRAPH = 60, 7, 30
_CHOSEN = "reverse"
_KEYS = (
    ("↑↓", "choose"),
    ("Tab", "nodes/jobs"),
    ("x", "kill"),
    ("s", "sort"),
    ("/", "filter"),
    ("q", "quit"),
)
_FEW_KEYS = tuple((key, what) for key, what in _KEYS if key in "xs/q")


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds the lists.

    Attributes:
        width: columns of the screen.
        height: lines of the screen.
        note: at the right of the title.
        stale: seconds since the last news, 0 when they are as new as they should be.
    """

    width: int
    height: int
    note: str
    stale: float = 0.0


def room_of(height: int, nodes: int) -> Room:
    """Share out the lines: nodes get those that they need, up to half."""
    left = max(2, height - FRAME)
    for_nodes = max(1, min(nodes, left // 2))
    return Room(for_nodes, left - for_nodes)


def draw(board: Board, frame: Frame) -> Text:
    """Draw all of the screen; the board's lock must be held."""
    from rich.text import Text

    board.set_room(room_of(frame.height, len(board.ordered_nodes())))
    nodes, node_top, node_at = board.shown_nodes()
    jobs, job_top, job_at = board.shown_jobs()
    lines = [_title(board, frame)]
    lines += _list(
        node_lines(nodes, frame.width), None if board.in_jobs else node_at - node_top, frame.width
    )
    lines.append(Text())
    lines += _list(
        job_lines(jobs, board.now_ms, frame.width, _silent(nodes)),
        job_at - job_top if board.in_jobs and jobs else None,
        frame.width,
    )
    del lines[frame.height - 1 :]
    lines += [Text()] * (frame.height - 1 - len(lines))
    return Text("\n", no_wrap=True, overflow="crop", end="").join(
        [*lines, _footer(board, frame.width)]
    )


def _silent(nodes: Sequence[NodeView]) -> set[str]:
    return {view.info.id for view in nodes if view.silent}


def _list(lines: list[Text], chosen: int | None, width: int) -> list[Text]:
    """Mark the chosen line over its whole width, below the head."""
    if chosen is not None and chosen + 1 < len(lines):
        line = lines[chosen + 1]
        line.pad_right(max(0, width - line.cell_len))
        line.stylize(_CHOSEN)
    return lines


def node_lines(nodes: Sequence[NodeView], width: int, *, graphs: bool = True) -> list[Text]:
    """Draw nodes, below their head."""
    long = min(_LONGEST_GRAPH, _GRAPH + max(0, width - 80) // 4) if width > _NARROW else 0
    columns = (
        Column("NODE", least=8, usual=8),
        Column("STATE", usual=9, rank=4),
        Column("CPU%".rjust(long + 5 if graphs else 4), right=True, rank=3),
        Column("MEM%".rjust(long + 5 if graphs else 4), right=True, rank=2),
        Column("LOAD".rjust(long + 6 if graphs else 4), right=True, rank=1),
        Column("RUNNING", right=True),
        Column("QUEUED", right=True),
    )
    return lines_of(columns, [_node_row(view, long if graphs else 0) for view in nodes], width)


def _node_row(view: NodeView, long: int) -> list[Cell]:
    info = view.info
    state = state_of(info)
    cells = [Cell(info.id), Cell(state, STYLES[state])]
    if view.silent:
        cells[1] = Cell("no answer", "bold red")
    if not info.alive:
        return [*cells, *([Cell("")] * 5)]
    most = max([1.0, *(1.25 * load for load in view.load if load is not None)])
    busy = bool(view.processors) and info.load > view.processors
    return [
        *cells,
        _measured(view.cpu, long, 100.0, 5),
        _measured(view.memory, long, 100.0, 5),
        Cell(
            sparkline(list(view.load), long, view.processors or most) + f"{info.load:6.2f}",
            "red" if busy else "",
            drawn=True,
        ),
        Cell(f"{info.running}/{info.slots}"),
        Cell(str(info.queued), "yellow" if info.queued else ""),
    ]


def _measured(history: Sequence[float | None], long: int, top: float, digits: int) -> Cell:
    last = history[-1] if history else None
    text = "-" if last is None else percent(last)
    style = "red" if last is not None and last >= 90 else ""
    return Cell(sparkline(list(history), long, top) + text.rjust(digits), style, drawn=True)


def job_lines(
    jobs: Sequence[JobView], now_ms: int, width: int, silent: set[str] | None = None
) -> list[Text]:
    """Draw jobs, below their head; those of nodes that do not answer are dim."""
    columns = (
        Column("CPU%", right=True, usual=5),
        Column("MEM", right=True, usual=5),
        Column("AGE", right=True, usual=4, rank=1),
        Column("NODE", least=8),
        Column("JOB", rank=3),
        Column("STAGE", usual=7, rank=2),
        Column("COMMAND", least=12),
    )
    lines = lines_of(columns, [_job_row(job, now_ms) for job in jobs], width)
    for line, job in zip(lines[1:], jobs, strict=True):
        if silent and job.node in silent:
            line.stylize("dim")
    return lines


def _job_row(job: JobView, now_ms: int) -> list[Cell]:
    entry = job.entry
    used = entry.pid != 0
    return [
        Cell(percent(entry.cpu) if used else "-"),
        Cell(size(entry.rss) if used else "-"),
        Cell(age_of(entry.starttime, now_ms)),
        Cell(job.node),
        Cell(entry.id),
        Cell(entry.stage, STAGE_STYLES.get(entry.stage, "")),
        Cell(command_text(entry.cmd)),
    ]


def _title(board: Board, frame: Frame) -> Text:
    from rich.text import Text

    views = list(board.nodes.values())
    alive = [view.info for view in views if view.info.alive]
    running, queued = sum(info.running for info in alive), sum(info.queued for info in alive)
    title = Text.assemble(
        ("corex top", "bold"),
        f"  {len(alive)} of {len(views)} nodes alive, {running} running, {queued} queued",
    )
    listed, (shown, top, _) = len(board.ordered_nodes()), board.shown_nodes()
    if len(shown) < listed:
        title.append(f"  [{top + 1}-{top + len(shown)} of {listed}]")
    if board.filter or board.typing is not None:
        pattern = board.filter if board.typing is None else board.typing
        title.append(f"  filter: {safe_cell(pattern)}", "yellow")
    if board.away:
        title.append(f"  Redis: {safe_cell(board.away)}", "bold red")
    elif frame.stale:
        title.append(f"  no news for {frame.stale:.0f} s", "bold red")
    elif frame.width - title.cell_len > len(frame.note) + 2:
        title.append(" " * (frame.width - title.cell_len - len(frame.note)))
        title.append(frame.note, "dim")
    title.truncate(frame.width, overflow="ellipsis")
    return title


def _footer(board: Board, width: int) -> Text:
    from rich.text import Text

    if board.asking is not None:
        job = board.asking
        question = f"Kill {job.entry.id} on {job.node} ({command_text(job.entry.cmd)})?"
        footer = Text(safe_cell(question), "bold")
        footer.truncate(max(0, width - 20), overflow="ellipsis")
        footer.append(" y: yes, others: no", "bold yellow")
    elif board.typing is not None:
        footer = Text.assemble(("/", "bold"), safe_cell(board.typing), ("▏", "blink"))
        footer.append("  Enter: keep, Esc: as before", "dim")
    elif board.message:
        footer = Text(safe_cell(board.message), "bold yellow")
    else:
        footer = Text()
        for key, what in _KEYS if width > _NARROW else _FEW_KEYS:
            footer.append(key, "bold cyan").append(f" {what}  ")
        sort = JOB_SORTS[board.job_sort] if board.in_jobs else NODE_SORTS[board.node_sort]
        footer.append(f"{'jobs' if board.in_jobs else 'nodes'} by {sort}", "dim")
    footer.truncate(width, overflow="ellipsis")
    return footer
