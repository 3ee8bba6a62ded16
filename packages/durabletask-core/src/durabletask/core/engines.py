"""What engines differ in, so far as it decides what an orchestrator may ask of them.

Facts, told by the worker, which knows whom it speaks to. Knows nothing about the wire.
"""

from __future__ import annotations

from dataclasses import dataclass

from durabletask.failures import UnsupportedByEngineError


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTraits:
    """What the engine does with actions; the defaults are those of Microsoft's dialect.

    `name` is for error texts. An engine with `unique_numbers` answers each number once and for
    all, so that a call which is made again needs another; elsewhere it keeps its number, as the
    histories of the official SDK have it. `has_entities` tells whether it knows messages to
    entities. An engine that `records_versions` keeps with each turn which code took it, and
    can wait for a worker that has that code; it also gives calls an identity that their
    attempts share, and tells timers by what they are for. An engine that `continues_alone` drops
    whatever an answer asks for beside the continuation as new.
    """

    name: str = "this engine"
    unique_numbers: bool = False
    has_entities: bool = True
    records_versions: bool = False
    continues_alone: bool = False

    def check_entities(self, operation: str) -> None:
        """UnsupportedByEngineError where there are no entities."""
        if not self.has_entities:
            raise UnsupportedByEngineError(
                self.name,
                operation,
                "Keep the state in an orchestration that takes events and continues as new, or "
                "use an engine that has entities, such as durabletask-sidecar.",
            )

    def check_patches(self) -> None:
        """UnsupportedByEngineError where nobody records which patches were taken."""
        if not self.records_versions:
            raise UnsupportedByEngineError(
                self.name,
                "is_patched",
                "It does not record which patches a turn has taken, so that a replay could not "
                "know. Compare ctx.version, which it does record, or use an engine of Dapr's "
                "dialect.",
            )


MICROSOFT = EngineTraits()


def of_dapr(name: str) -> EngineTraits:
    """What engines of Dapr's dialect have in common."""
    return EngineTraits(
        name=name,
        unique_numbers=True,
        has_entities=False,
        records_versions=True,
        continues_alone=True,
    )
