"""Clients and a worker for the Azure Durable Task Scheduler.

    from durabletask.azuremanaged.client import DurableTaskSchedulerClient
    from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

They are the ordinary client and worker, and add to every call the names of the task hub and
the SDK, and a token. The module paths are those of Microsoft's distribution
`durabletask.azuremanaged`, which this one replaces.
"""
