"""The scenarios that `tests/interop/test_strangers.py` runs with the SDKs of others."""

from __future__ import annotations

SCENARIOS = {
    "chain": "a_chain_hands_on_its_results",
    "fan-out": "a_fan_out_keeps_the_order_of_its_inputs",
    "retry": "an_activity_is_tried_again_until_it_succeeds",
    "child": "children_return_their_results",
    "timer": "a_timer_fires_no_earlier_than_asked",
    "event race": "a_timer_and_an_event_race",
    "continue-as-new fifty times": "continuing_as_new_fifty_times_starts_over",
    "suspend and resume": "what_is_suspended_waits_until_it_is_resumed",
    "terminate": "what_is_terminated_ends_with_the_output_it_is_given",
    "failure details": "a_failure_tells_what_went_wrong",
}
"""What the SDKs of others are asked for, and its name in the programs of `tests/interop`."""

STRANGERS = (
    "durabletask for Python (Microsoft)",
    "durabletask-js (Microsoft)",
    "dapr for Python",
    "durabletask-go (Dapr)",
    "durabletask-js (Dapr)",
    "durabletask-client for Java (Dapr)",
)

NOT_IN_SDK = {("retry", "durabletask-js (Dapr)"): "the SDK has no retry policy"}
