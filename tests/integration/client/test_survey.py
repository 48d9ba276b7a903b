"""Asking many nodes at once."""

from __future__ import annotations

import time

import redis

from corex import Client, JobFailed
from corex.ask import Question, reader
from corex.questions.jobs import list_jobs
from corex.survey import Reply, Survey
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.nodes import RunNode


def _ask(client: Client, survey: Survey) -> list[Reply]:
    return list(client.iterate(survey.run()))


def test_every_node_answers_every_question(
    run_node: RunNode, redis_url: str, namespace: str, keys: Keys, raw: redis.Redis
) -> None:
    """An error is that of one answer; what was read is taken out of Redis."""
    run_node("n1")
    run_node("n2")
    nonsense = Question("no.such", reader(int), control=True)
    with Client(redis_url, namespace=namespace) as cx:
        survey = Survey(cx.core, ["n1", "n2"], [list_jobs(None), nonsense], 10)
        replies = _ask(cx, survey)
        assert sorted((reply.node, reply.question.command) for reply in replies) == [
            ("n1", "job.list"),
            ("n1", "no.such"),
            ("n2", "job.list"),
            ("n2", "no.such"),
        ]
        for reply in replies:
            if reply.question is nonsense:
                assert isinstance(reply.error, JobFailed)
            else:
                assert {entry.id for entry in reply.value} <= survey.jobs
        assert list(raw.scan_iter(keys.result("*"), count=10_000)) == []


def test_silent_ones_hold_up_no_other(
    run_node: RunNode, redis_url: str, namespace: str, keys: Keys, raw: redis.Redis
) -> None:
    """What answers is heard before the time is up; what does not is asked no more."""
    run_node("n1")
    with Client(redis_url, namespace=namespace) as cx:
        cx.node("n1").ping()
        survey = Survey(cx.core, ["nobody", "n1"], [list_jobs(None)], 2)
        begun = time.monotonic()
        answers = cx.iterate(survey.run())
        assert next(answers).node == "n1"
        assert time.monotonic() - begun < 1.5
        assert list(answers) == []
        assert time.monotonic() - begun >= 2
    eventually(lambda: not raw.exists(keys.control("nobody")))


def test_nobody_is_asked(redis_url: str, namespace: str) -> None:
    with Client(redis_url, namespace=namespace) as cx:
        assert _ask(cx, Survey(cx.core, [], [list_jobs(None)], 5)) == []
