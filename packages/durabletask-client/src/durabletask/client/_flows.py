"""All operations of a client, for a driver to drive; see `_asks.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.client._entities import EntityFlows
from durabletask.client._fleet import FleetFlows
from durabletask.client._instances import InstanceFlows

if TYPE_CHECKING:
    import logging

    from durabletask.serialization import DataConverter


class Flows:
    """The operations, by what they are about: one instance, many instances, entities."""

    def __init__(self, converter: DataConverter, log: logging.Logger) -> None:
        self.instances = InstanceFlows(converter, log)
        self.fleet = FleetFlows(converter, log)
        self.entities = EntityFlows(converter, log)
