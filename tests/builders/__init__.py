"""What several test packages build on; what only one of them needs lies in its own folder.

For the SDK:

    core             a fake engine in memory, so that whole orchestrations run in one test
    core_entities    the same with entities: queues, locks, batches
    client           either client on a transport with a script
    transport        transports with a script, and a gRPC server with handlers for raw bytes
    batch_sidecar    the same server with batch streams that a test plays
    worker           a sidecar with a script, a clock that tests turn, and work items
    batched_calls    the same sidecar where it takes calls in batches
    worker_host      a worker's host between that sidecar and a test's functions
    slots            the slots of a worker, whose work a test begins and ends
    broken_log       a log of which a part raises
    scheduler        credentials and a server for the Azure package
    protocol         both vendors' contracts, and random messages of theirs and ours

For the sidecar:

    engine           engine and store without a network: a test drives time, ids and the worker
    engine_entities  the same for entities
    inline_sidecar   whole orchestrations over a store, in one thread: sidecar and SDK
    scenarios        orchestrations of every kind for it
    sidecar          a sidecar on a free port, and a client and worker in raw messages
    in_process_channel  a sidecar of the same process, behind the interface of a channel
    dapr             the same in Dapr's dialect
    contract         an engine under test, seen only through the protocol
    batch_channel    a batch stream behind a channel
    flushes          commits that wait for the disk where a test wants it
    holding_host     a host that counts its commits, and holds what may wait for the next
    command          the command `durabletask-sidecar` as a process
    security         authorities, certificates and token files
"""
