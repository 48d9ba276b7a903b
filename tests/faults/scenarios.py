"""All scenarios by name."""

from __future__ import annotations

from tests.faults import scenarios_agent, scenarios_fleet, scenarios_server
from tests.helpers.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        *scenarios_agent.SCENARIOS,
        *scenarios_server.SCENARIOS,
        *scenarios_fleet.SCENARIOS,
    )
}
