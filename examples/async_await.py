"""The same patterns in async def: typed results, async activities, one event loop."""

import asyncio
from datetime import timedelta

from durabletask import client, task, worker

host = worker.TaskHubGrpcWorker()


@host.activity
async def fetch_price(ctx: task.ActivityContext, product: str) -> int:
    """Fetch a price; while it waits, no thread is blocked."""
    await asyncio.sleep(0.1)
    return 10 * len(product)


@host.activity
def total(ctx: task.ActivityContext, prices: list[int]) -> int:
    """Add up; a plain function runs on the worker's thread pool."""
    return sum(prices)


@host.orchestrator
async def quote(ctx: task.OrchestrationContext, products: list[str]) -> str:
    """Chain, fan out, and wait for an event or a timer; each result has its type."""
    prices = await task.when_all([ctx.call_activity(fetch_price, input=one) for one in products])
    sum_of_prices = await ctx.call_activity(total, input=prices)

    accepted = ctx.wait_for_external_event("accepted", data_type=str)
    too_late = ctx.create_timer(timedelta(seconds=20))
    if await task.when_any([accepted, too_late]) is too_late:
        return "The quote has expired"
    return f"{accepted.get_result()} accepted the quote of {sum_of_prices}"


async def main() -> None:
    running = asyncio.create_task(host.run())
    async with client.AsyncTaskHubGrpcClient() as hub:
        instance_id = await hub.schedule_new_orchestration(quote, input=["lamp", "chair", "desk"])
        await hub.raise_orchestration_event(instance_id, "accepted", data="Ada")
        state = await hub.wait_for_orchestration_completion(instance_id, timeout=30)

        assert state is not None
        state.raise_if_failed()
        print(f"Orchestration completed! Result: {state.serialized_output}")
    host.stop()
    await running


if __name__ == "__main__":
    asyncio.run(main())
