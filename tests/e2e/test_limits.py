"""What our own worker and client make of the limits: nothing hangs, and each text says what to do.

With limits that programs meet soon; warm and replayed, as all of these scenarios.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.entities import EntityContext, EntityInstanceId
from durabletask.sidecar import Limits, Sidecar
from durabletask.task import ActivityContext, OrchestrationContext, RetryPolicy, TaskFailedError
from durabletask.worker import TaskHubGrpcWorker

from .conftest import PATIENCE, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

LARGE = "x" * 2000
