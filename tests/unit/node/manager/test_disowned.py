"""Jobs of a group whose lease is lost: several parts find out, each in its own time."""

from __future__ import annotations

from corex_node.group import disown
from corex_node.ticket import Source, Ticket
from tests.unit.node.manager.bench import QuickBench


async def test_a_job_that_has_not_started_is_disowned_once(quick: QuickBench) -> None:
    """Whoever comes second finds it gone, and does the others no harm."""
    tickets = [Ticket(Source.COMMANDS, number, f"@{number}") for number in (1, 2)]
    held = quick.place("core.system", {"name": "tool"}, queue="q")
    jobs = [quick.place("core.system", {"name": "tool"}, queue="q") for _ in tickets]
    for job, ticket in zip(jobs, tickets, strict=True):
        job.origin = ticket
    disown(quick.manager, jobs[:1])
    disown(quick.manager, jobs)
    assert list(quick.manager.jobs) == [held.id]
    assert [ticket.disowned for ticket in tickets] == [True, True]
    quick.manager.withdraw(held)
