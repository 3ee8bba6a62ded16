"""What is found after a run: every instance with its history, every entity, every effect.

Everything is read through a client, as users would read it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from durabletask.client import OrchestrationQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from durabletask.client import AsyncTaskHubGrpcClient, OrchestrationState
    from durabletask.history import HistoryEvent

    from .effects import Effect

_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Instance:
    """An orchestration as it is found."""

    status: str
    output: str | None
    history: Sequence[HistoryEvent]
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity as it is found, with the moves that it has made: who moved, and how much."""

    moves: Sequence[tuple[str, int]]
    locked_by: str = ""
    backlog: int = 0


@dataclass(frozen=True, slots=True)
class Observations:
    """All that is found, by its ids."""

    instances: Mapping[str, Instance] = field(default_factory=dict)
    entities: Mapping[str, Entity] = field(default_factory=dict)
    effects: Sequence[Effect] = ()


async def gather(client: AsyncTaskHubGrpcClient, effects: Iterable[Effect]) -> Observations:
    """Read everything that the task hub holds."""
    everything = OrchestrationQuery(fetch_inputs_and_outputs=True)
    states = await client.get_all_orchestration_states(everything)
    room = asyncio.Semaphore(_AT_ONCE)

    async def look_at(state: OrchestrationState) -> tuple[str, Instance]:
        async with room:
            history = await client.get_orchestration_history(state.instance_id)
        found = Instance(
            status=state.runtime_status.name,
            output=state.serialized_output,
            history=history,
            parent=state.parent_instance_id or None,
        )
        return state.instance_id, found

    instances = dict(await asyncio.gather(*map(look_at, states)))
    entities = {
        str(each.id): Entity(
            moves=[(who, amount) for who, amount in each.get_typed_state() or []],
            locked_by=each.locked_by,
            backlog=each.backlog_queue_size,
        )
        for each in await client.get_all_entities()
    }
    return Observations(instances, entities, tuple(effects))
