"""When aiokafka's fetcher may ask for records."""

from __future__ import annotations

import asyncio
from typing import Any

from streams.fetch_gate import FetchGate


class Planner:
    """The part of aiokafka's fetcher that plans, and waits for a reason to plan anew."""

    def __init__(self) -> None:
        self._wait_consume_future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _get_actions_per_node(self, assignment: str) -> tuple[Any, ...]:
        return [f"fetch {assignment}"], {"reset": assignment}, 0.2, False, []

    def _notify(self, future: asyncio.Future[None]) -> None:
        future.set_result(None)


async def test_a_shut_gate_holds_requests_for_records_back_and_nothing_else() -> None:
    planner = Planner()
    gate = FetchGate(planner)
    plan = planner._get_actions_per_node("a")
    assert plan == (["fetch a"], {"reset": "a"}, 0.2, False, [])
    gate.shut()
    assert planner._get_actions_per_node("a") == ([], *plan[1:])


async def test_opening_makes_the_fetcher_plan_at_once_and_only_if_the_gate_was_shut() -> None:
    planner = Planner()
    gate = FetchGate(planner)
    gate.open()
    assert not planner._wait_consume_future.done()
    gate.shut()
    gate.open()
    assert planner._wait_consume_future.done()
    assert planner._get_actions_per_node("a")[0] == ["fetch a"]
