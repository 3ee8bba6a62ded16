"""Decides what an orchestration does next; the worker only carries messages to and fro.

    machine = open_machine(request, registry, settings)
    machine.replay(request.past_events)
    decision = machine.turn(request.new_events)

Start reading in `orchestration`, then `machine`. No I/O, no clock, no threads: the same events
always give the same decision, and tests need only events.
"""
