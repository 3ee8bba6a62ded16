"""SDKs and an engine of others: their environments, made on first use, and their processes.

`pythons`          the official SDK, Dapr's workflow SDK for Python, and DBOS
`javascript`       Microsoft's and Dapr's SDKs for JavaScript
`go`               the engine durabletask-go, and the SDK for Go of the same module
`java`             Dapr's SDK for Java
`homes`            the folder in which the environments are kept
`sidecar_process`  our own sidecar in a process of its own

What they are asked to do is the caller's: `tests/interop` has the scenarios, `tools/bench` the
benchmarks.
"""
