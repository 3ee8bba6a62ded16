"""Human interaction: an order waits for an approval until a timeout."""

import argparse
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from durabletask import client, task, worker


@dataclass
class Order:
    """An order; small ones need no approval."""

    product: str
    quantity: int
    cost: float
    timeout_seconds: float = 24 * 60 * 60


@dataclass
class Approval:
    """Who approved an order."""

    approver: str


def request_approval(ctx: task.ActivityContext, order: Order) -> None:
    """Ask a human; a real program would send a message here."""
    print(f"Approval wanted: {order.quantity} x {order.product} for {order.cost:.2f}")


def place_order(ctx: task.ActivityContext, order: Order) -> None:
    """Place the order."""
    print(f"Ordered: {order.quantity} x {order.product}")


def purchase(ctx: task.OrchestrationContext, order: Order) -> Generator[task.Task[Any], Any, str]:
    """Place the order once it is approved; cancel it if it is not approved in time."""
    if order.cost < 1000:
        yield ctx.call_activity(place_order, input=order)
        return "Auto-approved"

    yield ctx.call_activity(request_approval, input=order)
    approved = ctx.wait_for_external_event("approval_received", data_type=Approval)
    timeout = ctx.create_timer(timedelta(seconds=order.timeout_seconds))
    first = yield task.when_any([approved, timeout])
    if first is timeout:
        return "Cancelled"

    yield ctx.call_activity(place_order, input=order)
    return f"Approved by '{approved.get_result().approver}'"


def approve_on_enter(hub: client.TaskHubGrpcClient, instance_id: str, approver: str) -> None:
    """Wait for the human at the keyboard."""
    input()
    hub.raise_orchestration_event(instance_id, "approval_received", data=Approval(approver))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait for approval")
    parser.add_argument("--approver", default="Me", help="the name that goes into the approval")
    arguments = parser.parse_args()

    with worker.TaskHubGrpcWorker() as host, client.TaskHubGrpcClient() as hub:
        host.add_orchestrator(purchase)
        host.add_activity(request_approval)
        host.add_activity(place_order)
        host.start()

        order = Order("Headphones", 10, 3000.0, timeout_seconds=arguments.timeout)
        instance_id = hub.schedule_new_orchestration(purchase, input=order)
        print(f"Press Enter within {arguments.timeout:g} seconds to approve the order.")
        started = time.perf_counter()
        threading.Thread(
            target=approve_on_enter, args=(hub, instance_id, arguments.approver), daemon=True
        ).start()

        state = hub.wait_for_orchestration_completion(
            instance_id, timeout=int(arguments.timeout) + 10
        )

        assert state is not None
        state.raise_if_failed()
        took = time.perf_counter() - started
        print(f"Orchestration completed after {took:.1f} s! Result: {state.serialized_output}")


if __name__ == "__main__":
    main()
