"""What a process addresses to levels within its output, over the plain wire."""

from __future__ import annotations

from tests.helpers.wire import Wire


def test_the_last_message_of_a_result_level_is_the_answer(wire: Wire) -> None:
    """It becomes `data` and `level`; plain output around it stays where it is."""
    job = wire.script("echo before; echo '20::1'; echo '21::a: 1'; echo after; echo '9::bad'")
    result = wire.result(job)
    assert (result["data"], result["level"]) == ("a: 1", 21)
    assert result["critical"] == "bad"
    assert result["streams"] == ["before\nafter\n", ""]
    whole = "before\n20::1\n21::a: 1\nafter\n9::bad\n"
    assert result["stdout_bytes"] == len(whole)


def test_a_header_and_a_block_written_in_pieces(wire: Wire) -> None:
    """A message is recognised however it is split between writes."""
    job = wire.script(
        "printf 2; sleep 0.15; printf 0:; sleep 0.15; printf '::\\n{'; sleep 0.15; "
        "printf '\\n}\\n::'; sleep 0.15; printf ':\\nplain\\n'",
        stream=True,
    )
    result = wire.result(job)
    assert (result["data"], result["level"]) == ("{\n}", 20)
    assert result["streams"][0] == "plain\n"
    shown = [(message["level"], message["message"]) for message in wire.log(job)[:-1]]
    assert shown == [(20, "{\n}"), (1, "plain\n")]


def test_what_only_looks_like_a_message_is_output(wire: Wire) -> None:
    """An address of the network is no message of level 20."""
    result = wire.result(wire.script("echo 2001::1; echo ' 20::x'; echo 12::x"))
    assert result["streams"][0] == "2001::1\n 20::x\n12::x\n"
    assert (result["data"], result["level"]) == ("", 0)


def test_messages_on_the_nodes_log_channel(wire: Wire) -> None:
    """Levels that the node lets through are heard, one message for each, others are not."""
    with wire.subscribed(wire.keys.node_log(wire.node)) as heard:
        job = wire.script("echo '7::careful'; echo '7::very'; echo '6::quiet'; echo plain")
        wire.result(job)
        ours = [message for message in heard() if message["job"] == job]
    assert [(m["level"], m["message"]) for m in ours[:-1]] == [(7, "careful"), (7, "very")]


def test_an_unfinished_block_is_delivered(wire: Wire) -> None:
    """A process that dies within a block loses none of it."""
    result = wire.result(wire.script("printf '20:::\\n[1,\\n2]'; exit 3"))
    assert (result["data"], result["level"], result["code"]) == ("[1,\n2]", 20, 1003)


def test_a_long_answer_is_whole(wire: Wire) -> None:
    """An answer of some megabytes, on one line or in a block, is all in `data`; nothing spills."""
    length = 2_500_000
    line = f"printf '20::'; head -c {length} /dev/zero | tr '\\0' b; echo; echo out"
    text = "head -c 800000 /dev/zero | tr '\\0' b; echo"
    block = f"echo 20:::; {text}; {text}; {text}; echo :::; echo out"
    for script, answer in (
        (line, "b" * length),
        (block, "\n".join(["b" * 800_000] * 3)),
    ):
        result = wire.result(wire.script(script))
        assert (result["level"], len(result["data"])) == (20, len(answer))
        assert result["data"] == answer
        assert result["streams"][0] == "out\n"
        assert result["truncated"] is False


def test_an_answer_beyond_all_bounds_is_cut_and_says_so(wire: Wire) -> None:
    """`data` has its beginning, and `truncated` is set."""
    result = wire.result(wire.script("printf 20::; head -c 9000000 /dev/zero | tr '\\0' b; echo"))
    assert len(result["data"]) == 8 * 1024 * 1024
    assert result["truncated"] is True
    assert result["streams"] == ["", ""]
