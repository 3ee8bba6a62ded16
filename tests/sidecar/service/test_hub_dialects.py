"""Which task hubs are known to be Dapr's."""

from __future__ import annotations

from durabletask.protocol import dialects
from durabletask.sidecar.service.hub_dialects import HubDialects


def test_of_task_hubs_without_number_those_where_a_worker_came_last_are_known() -> None:
    hub_dialects = HubDialects()
    for number in range(10_002):
        hub_dialects.record(f"hub-{number}", dialects.DAPR)
        hub_dialects.record("hub-0", dialects.DAPR)

    assert hub_dialects.is_dapr("hub-0")
    assert hub_dialects.is_dapr("hub-10001")
    assert not hub_dialects.is_dapr("hub-1")
