"""Clients and a worker for the Azure Durable Task Scheduler.

    from durabletask.azuremanaged.client import DurableTaskSchedulerClient
    from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

They are the ordinary client and worker; what is added here goes with every call: the name of
the task hub, who calls, and a token. The module paths are those of Microsoft's distribution
`durabletask.azuremanaged`, which this one replaces.
"""
