"""Which task hubs are known to be Dapr's."""

from __future__ import annotations

from durabletask.protocol import dialects
from durabletask.sidecar.service.spoken import Dialects


def test_of_task_hubs_without_number_those_where_a_worker_came_last_are_known() -> None:
    spoken = Dialects()
    for number in range(10_002):
        spoken.note(f"hub-{number}", dialects.DAPR)
        spoken.note("hub-0", dialects.DAPR)

    assert spoken.is_daprs("hub-0")
    assert spoken.is_daprs("hub-10001")
    assert not spoken.is_daprs("hub-1")
