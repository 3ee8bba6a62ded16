"""Work that waits for a worker: the queue, streams, leases, work items and completions."""
