"""Live output."""

from __future__ import annotations

from io import BytesIO

from corex.cli.output import LiveOutput
from corex.streams import MessageOrder
from corex_shared.models import Message


class _File:
    def __init__(self, *, tty: bool = False) -> None:
        self.buffer = BytesIO()
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode()


def _output(*jobs: str, tty: bool = False) -> tuple[LiveOutput, _File, _File]:
    out, err = _File(tty=tty), _File(tty=tty)
    return LiveOutput({job: f"node-{job}" for job in jobs}, out=out, err=err), out, err


def _say(output: LiveOutput, job: str, text: str, level: int = 1, flags: int = 1) -> None:
    output.show(Message(job, "x", 0, level, flags, text, 0))


def test_one_target_is_written_as_it_comes() -> None:
    """Without a prefix partial lines are written at once, each stream to its own."""
    output, out, err = _output("a")
    _say(output, "a", "par")
    _say(output, "a", "bad\n", level=2)
    assert (out.text, err.text) == ("par", "bad\n")
    _say(output, "a", "tial\n")
    assert out.text == "partial\n"


def test_several_targets_write_whole_lines() -> None:
    """Each line has its node; lines of two nodes do not mix."""
    output, out, _ = _output("a", "b")
    _say(output, "a", "one\ntw")
    _say(output, "b", "eins\n")
    _say(output, "a", "o\n\nthree\n")
    assert out.text == ("node-a | one\nnode-b | eins\nnode-a | two\nnode-a | \nnode-a | three\n")


def test_the_last_partial_line_is_completed() -> None:
    """A line that never ended is written when its job ends, or all do."""
    output, out, err = _output("a", "b")
    _say(output, "a", "no newline")
    _say(output, "b", "neither", level=2)
    assert out.text == ""
    _say(output, "a", "", flags=3)
    assert out.text == "node-a | no newline\n"
    output.finish()
    assert err.text == "node-b | neither\n"


def test_levels_have_their_places() -> None:
    """Results and public messages go to stdout, warnings to stderr, statistics nowhere."""
    output, out, err = _output("a")
    for level in (3, 20, 21, 22, 23):
        _say(output, "a", f"o{level}", level=level)
    for level in (4, 7, 8, 9, 11):
        _say(output, "a", f"e{level}", level=level)
    for level in (10, 30):
        _say(output, "a", "hidden", level=level)
    assert out.text == "o3\no20\no21\no22\no23\n"
    assert err.text == "e4\ne7\ne8\ne9\ne11\n"


def test_the_reason_of_a_failure_is_no_output() -> None:
    """A built-in's error message is told with its result, not printed as output."""
    output, out, err = _output("a")
    _say(output, "a", '"no such program"', level=20, flags=4)
    assert (out.text, err.text) == ("", "")


def test_a_terminal_is_protected() -> None:
    """Control sequences are shown on a terminal and passed on into a pipe."""
    output, out, _ = _output("a", tty=True)
    _say(output, "a", "\x1b[31mred\x1b[0m \x1b[2J\n")
    assert out.text == "\x1b[31mred\x1b[0m \\x1b[2J\n"
    output, out, _ = _output("a")
    _say(output, "a", "\x1b[2J\n")
    assert out.text == "\x1b[2J\n"


def test_what_a_terminal_did_not_get_comes_at_the_end() -> None:
    """The held-back beginning of a sequence is shown when the job ends."""
    output, out, _ = _output("a", "b", tty=True)
    _say(output, "a", "x\x1b[1")
    output.finish()
    assert out.text == "node-a | x\\x1b[1\n"


def test_what_is_missing_is_told_on_stderr() -> None:
    """A gap in the output of one of several jobs has its node, and is no output."""
    output, out, err = _output("a", "b")
    order = MessageOrder("a")
    order.add(Message("a", "x", 4, 1, 1, "five\n", 0))
    order.give_up_gap()
    for message in order.ready():
        output.show(message)
    assert out.text == "node-a | five\n"
    assert err.text == "node-a | corex: 4 messages are no longer in the log of job a\n"
