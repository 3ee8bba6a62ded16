"""The gRPC service: each method of the protocol, and what answers it.

Knows nothing about sockets: it makes handlers, and `server` listens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from durabletask.protocol import messages, methods
from durabletask.sidecar._version import __version__
from durabletask.sidecar.instrumentation import NO_INSTRUMENTATION
from durabletask.sidecar.network import rpc
from durabletask.sidecar.network.authorization import Admission
from durabletask.sidecar.network.health import Health

from .entities import Entities
from .histories import Histories
from .hubs import Hubs
from .instances import Instances
from .management import Management
from .measured import measured
from .queries import Queries
from .spoken import Dialects, named
from .work_items import WorkItems

if TYPE_CHECKING:
    from durabletask.protocol.dialects import Dialect
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.instrumentation import Instrumentation

# Our own worker and client recognize by it what else they may use.
_ENGINE = ("x-durabletask-engine", f"durabletask-sidecar/{__version__}")


__all__ = ["Admission", "Health", "handlers", "named"]


def handlers(
    host: Host,
    default: Dialect | None = None,
    instrumentation: Instrumentation = NO_INSTRUMENTATION,
) -> grpc.GenericRpcHandler:
    """All methods of the protocol.

    `default` is the dialect of callers that show none.
    """
    served = _served(host, Dialects(default))
    if instrumentation is not NO_INSTRUMENTATION:
        served = measured(served, instrumentation)
    return grpc.method_handlers_generic_handler(methods.SERVICE, served)


def _served(host: Host, spoken: Dialects) -> dict[str, rpc.Handler]:
    work = WorkItems(host, spoken)
    unary = _for_clients(host, spoken) | _for_workers(work)
    return {
        **{method.name: rpc.unary(method, handle) for method, handle in unary.items()},
        methods.HELLO.name: rpc.unary(methods.HELLO, _hello, initial_metadata=(_ENGINE,)),
        methods.GET_WORK_ITEMS.name: rpc.streaming(
            methods.GET_WORK_ITEMS, work.get_work_items, shows=work.dialect_of_worker
        ),
        methods.COMPLETE_ORCHESTRATOR_TASK.name: rpc.unary(
            methods.COMPLETE_ORCHESTRATOR_TASK, work.complete_turn, shows=work.dialect_of_answer
        ),
        methods.COMPLETE_WORKFLOW_TASK.name: rpc.unary(
            methods.COMPLETE_WORKFLOW_TASK, work.complete_turn, shows=work.dialect_of_daprs_answer
        ),
        methods.STREAM_INSTANCE_HISTORY.name: rpc.streaming(
            methods.STREAM_INSTANCE_HISTORY, Histories(host).stream
        ),
    }


def _for_clients(host: Host, spoken: Dialects) -> dict[methods.Method, rpc.Unary]:
    instances = Instances(host, spoken)
    management = Management(host, spoken)
    queries = Queries(host)
    entities = Entities(host)
    hubs = Hubs(host)
    return {
        methods.START_INSTANCE: instances.start,
        methods.GET_INSTANCE: instances.get,
        methods.WAIT_FOR_INSTANCE_START: instances.wait_started,
        methods.WAIT_FOR_INSTANCE_COMPLETION: instances.wait_completed,
        methods.RAISE_EVENT: instances.raise_event,
        methods.TERMINATE_INSTANCE: instances.terminate,
        methods.SUSPEND_INSTANCE: instances.suspend,
        methods.RESUME_INSTANCE: instances.resume,
        methods.REWIND_INSTANCE: management.rewind,
        methods.RESTART_INSTANCE: management.restart,
        methods.PURGE_INSTANCES: management.purge,
        methods.SKIP_GRACEFUL_ORCHESTRATION_TERMINATIONS: management.skip_graceful_terminations,
        methods.QUERY_INSTANCES: queries.query_instances,
        methods.LIST_INSTANCE_IDS: queries.list_ids,
        methods.PAGE_INSTANCE_IDS: queries.page_ids,
        methods.GET_INSTANCE_HISTORY: Histories(host).get,
        methods.RERUN_ORCHESTRATION_FROM_EVENT: management.rerun,
        methods.SIGNAL_ENTITY: entities.signal,
        methods.GET_ENTITY: entities.get,
        methods.QUERY_ENTITIES: entities.query,
        methods.CLEAN_ENTITY_STORAGE: entities.clean,
        methods.CREATE_TASK_HUB: hubs.create,
        methods.DELETE_TASK_HUB: hubs.delete,
    }


def _for_workers(work: WorkItems) -> dict[methods.Method, rpc.Unary]:
    return {
        methods.COMPLETE_ACTIVITY_TASK: work.complete_activity,
        methods.COMPLETE_ENTITY_TASK: work.complete_batch,
        methods.ABANDON_ORCHESTRATION_TASK: work.abandon_turn,
        methods.ABANDON_ACTIVITY_TASK: work.abandon_activity,
        methods.ABANDON_ENTITY_TASK: work.abandon_batch,
    }


async def _hello(_request: messages.Empty, _caller: rpc.Caller) -> messages.Empty:
    return messages.Empty()
