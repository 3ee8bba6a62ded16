"""The error for an entity operation that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from durabletask.failures import DurableTaskError, FailureDetails, from_message, qualified_name

if TYPE_CHECKING:
    from durabletask.entities.entity_instance_id import EntityInstanceId
    from durabletask.protocol import messages


class EntityOperationFailedException(DurableTaskError):  # noqa: N818  # the official SDK's name
    """An operation failed; `failure_details` are those that the entity reported.

    Orchestrators get it as the `details` of a TaskFailedError. Programs compare its module
    path, which is its `error_type`.
    """

    def __init__(
        self,
        entity_instance_id: EntityInstanceId,
        operation_name: str,
        failure_details: FailureDetails | messages.TaskFailureDetails,
    ) -> None:
        self.entity_instance_id = entity_instance_id
        self.operation_name = operation_name
        self.failure_details = (
            failure_details
            if isinstance(failure_details, FailureDetails)
            else from_message(failure_details)
        )
        super().__init__(
            f"Operation '{operation_name}' on entity '{entity_instance_id}' failed with error: "
            f"{self.failure_details.message}"
        )

    def details(self) -> FailureDetails:
        """This error as failure details; those that the entity reported are its inner failure."""
        return FailureDetails(
            message=str(self),
            error_type=qualified_name(type(self)),
            stack_trace="",
            inner_failure=self.failure_details,
        )

    # Pickle rebuilds exceptions from args, which hold only the message.
    def __reduce__(self) -> tuple[type[Self], tuple[EntityInstanceId, str, FailureDetails]]:
        return (type(self), (self.entity_instance_id, self.operation_name, self.failure_details))
