"""Carry out calls of this project's own clients and workers, whose requests come as values.

They come from the same process, or many in one message. What over gRPC is a call each is here
a call each as well: it is admitted by its token, counted, logged and refused alike. Answers are
given to callbacks, which return at once and raise nothing. Everything runs on the sidecar's
event loop; does not import grpc.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from durabletask.protocol import dialects
from durabletask.protocol.in_process import Failure
from durabletask.sidecar.instrumentation import NO_INSTRUMENTATION

from .authorization import Admission
from .calls import Caller, hub_of
from .errors import failure_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from durabletask.protocol.in_process import Metadata
    from durabletask.protocol.methods import Method
    from durabletask.sidecar.commit.pending_reply import PendingReply
    from durabletask.sidecar.instrumentation import Instrumentation
    from durabletask.sidecar.work.streams import Receive

    from . import Service
    from .authorization import Tokens
    from .calls import Submitted

    Answered = Callable[[Any, Failure | None], None]
    Ended = Callable[[Failure | None], None]

# Callers that are remembered: one for each client and worker of the process.
_MAX_CALLERS = 100

STOPPING = Failure("UNAVAILABLE", "the sidecar is stopping")
CANCELLED = Failure("CANCELLED", "the caller cancelled the call")
# By the end of the event loop, or since a worker reads nothing.
_ENDED = Failure("UNAVAILABLE", "the sidecar ended the call")


class CallRunner:
    """Runs calls until it is closed; `tokens` admits them, None admits everybody.

    Each call is answered once: CANCELLED if its caller cancels it before, UNAVAILABLE if the
    sidecar ends it or is closed.
    """

    def __init__(
        self,
        service: Service,
        instrumentation: Instrumentation = NO_INSTRUMENTATION,
        tokens: Tokens | None = None,
    ) -> None:
        self._service = service
        self._instrumentation = instrumentation
        self._tokens = tokens
        self._callers: dict[Metadata, Caller] = {}
        """The callers of the last calls, at most `_MAX_CALLERS`, so that none is made anew."""
        self._is_closed = False
        self._tasks: set[_Task] = set()
        self._commits: set[_Commit] = set()

    def call(
        self, method: Method, request: Any, metadata: Metadata, answered: Answered
    ) -> Callable[[], object]:
        """Carry out a method with one response; returns a function that cancels the call.

        `answered` is called once, after a cancellation too.
        """
        outcome = _Outcome(self._instrumentation, method, metadata, answered)
        if self._is_closed:
            outcome.ended(STOPPING)
            return _nothing
        submit = self._service.submitting.get(method)
        if submit is None:
            return self._run(self._answer(method, request, metadata, outcome), outcome)
        # What is most frequent costs no task: many of them are stored by one commit.
        try:
            admission = self._admit(metadata)
            submitted = submit(request, self._caller(method, metadata))
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            outcome.failed(error)
            return _nothing
        return _Commit(submitted, admission, outcome, self._commits).begin()

    def stream(
        self, method: Method, request: Any, metadata: Metadata, received: Receive, ended: Ended
    ) -> Callable[[], object]:
        """Carry out a method with many responses; returns a function that cancels the call.

        `received` is called with an empty sequence once the call is admitted, and with each
        batch of responses; if it returns something to wait for, the next batch comes after
        that. `ended` is called once, after a cancellation too.
        """
        outcome = _Outcome(
            self._instrumentation, method, metadata, lambda _, failure: ended(failure)
        )
        if self._is_closed:
            outcome.ended(STOPPING)
            return _nothing
        return self._run(self._send(method, request, metadata, received, outcome), outcome)

    def together(self, begin: Callable[[], None]) -> None:
        """Call `begin`, which begins calls; what they change is stored by one commit, at once."""
        self._service.submit_together(begin)

    def refuse(self, method: Method, error: Exception, metadata: Metadata) -> Failure:
        """Report a call that cannot be carried out; returns what its caller gets."""
        outcome = _Outcome(self._instrumentation, method, metadata, _ignore)
        return outcome.failed(error)

    async def stop(self, grace: float) -> None:
        """Wait at most `grace` seconds for the calls under way, then end those that are left."""
        await self._settled(grace)
        self.close()
        await self._settled(None)

    def close(self) -> None:
        """Begin no more calls, and end those under way: they fail because the sidecar stops."""
        self._is_closed = True
        for task in self._tasks:
            task.end(STOPPING)
        for commit in list(self._commits):
            commit.end(STOPPING)

    async def _settled(self, limit: float | None) -> None:
        commits = [asyncio.ensure_future(commit.storing) for commit in self._commits]
        under_way = [*(each.task for each in self._tasks), *commits]
        if under_way:
            await asyncio.wait(under_way, timeout=limit)
        for waiting in commits:
            # What is being stored goes on.
            waiting.cancel()

    def _run(self, call: Coroutine[Any, Any, None], outcome: _Outcome) -> Callable[[], object]:
        return _Task(call, outcome, self._tasks).cancel

    async def _answer(
        self, method: Method, request: Any, metadata: Metadata, outcome: _Outcome
    ) -> None:
        try:
            admission = self._admit(metadata)
            caller = self._caller(method, metadata)
            response = await self._service.unary[method](request, caller)
            if admission is not None:
                admission.check()
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            outcome.failed(error)
        else:
            outcome.succeeded(response)

    async def _send(
        self,
        method: Method,
        request: Any,
        metadata: Metadata,
        received: Receive,
        outcome: _Outcome,
    ) -> None:
        try:
            admission = self._admit(metadata)
            handle = self._service.in_batches[method]
            async with handle(request, self._caller(method, metadata)) as deliver:
                await _taken(received(()))
                await deliver(received if admission is None else _checked(admission, received))
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            outcome.failed(error)
        else:
            outcome.succeeded(None)

    def _admit(self, metadata: Metadata) -> Admission | None:
        return None if self._tokens is None else Admission(self._tokens, dict(metadata))

    def _caller(self, method: Method, metadata: Metadata) -> Caller:
        """The caller, who is a peer of this project."""
        if method.sdk_dialect is not dialects.TASKHUB:
            return Caller.of(dict(metadata), method.sdk_dialect)
        caller = self._callers.get(metadata)
        if caller is None:
            if len(self._callers) == _MAX_CALLERS:
                # What is in use comes back with its next call.
                self._callers.clear()
            caller = self._callers[metadata] = Caller.of(dict(metadata), dialects.TASKHUB)
        return caller


def _checked(admission: Admission, received: Receive) -> Receive:
    """Check before each batch that the caller is still admitted."""

    def receive(batch: Sequence[bytes]) -> Awaitable[None] | None:
        admission.check()
        return received(batch)

    return receive


async def _taken(waiting: Awaitable[None] | None) -> None:
    if waiting is not None:
        await waiting


class _Outcome:
    """Says how a call ended, once: to its caller, to the log and to the instrumentation."""

    __slots__ = ("_answered", "_instrumentation", "_is_said", "_metadata", "_method", "_started")

    def __init__(
        self,
        instrumentation: Instrumentation,
        method: Method,
        metadata: Metadata,
        answered: Answered,
    ) -> None:
        self._instrumentation = instrumentation
        self._method = method
        self._metadata = metadata
        self._answered = answered
        self._is_said = False
        self._started = instrumentation.ticks()

    def succeeded(self, response: Any) -> None:
        self._say(response, None)

    def failed(self, error: Exception) -> Failure:
        hub = hub_of(dict(self._metadata))
        failure = failure_of(error, method=self._method.name, hub=hub)
        self.ended(failure)
        return failure

    def ended(self, failure: Failure) -> None:
        self._say(None, failure)

    def _say(self, response: Any, failure: Failure | None) -> None:
        # A caller may cancel its call in the very moment in which it is answered.
        if self._is_said:
            return
        self._is_said = True
        if self._instrumentation is not NO_INSTRUMENTATION:
            status = "OK" if failure is None else failure.status
            self._instrumentation.rpc_finished(self._method.name, status, self._started)
        self._answered(response, failure)


class _Task:
    """A call that runs as a task, open until that has ended."""

    __slots__ = ("_open", "_outcome", "_reason", "task")

    def __init__(
        self, call: Coroutine[Any, Any, None], outcome: _Outcome, open_tasks: set[_Task]
    ) -> None:
        self._outcome = outcome
        self._open = open_tasks
        self._reason = _ENDED
        open_tasks.add(self)
        self.task = asyncio.get_running_loop().create_task(call)
        # Not in the call itself: of a task that is cancelled before it begins, nothing runs.
        self.task.add_done_callback(self._done)

    def cancel(self) -> None:
        """End the call for its caller."""
        self.end(CANCELLED)

    def end(self, reason: Failure) -> None:
        """End the call; of several reasons, its caller is told the first."""
        if self._reason is _ENDED:
            self._reason = reason
        self.task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._open.discard(self)
        if task.cancelled():
            self._outcome.ended(self._reason)


class _Commit:
    """A call whose change is being stored, open until it is answered or cancelled."""

    __slots__ = ("_admission", "_open", "_outcome", "_submitted")

    def __init__(
        self,
        submitted: Submitted,
        admission: Admission | None,
        outcome: _Outcome,
        open_commits: set[_Commit],
    ) -> None:
        self._submitted = submitted
        self._admission = admission
        self._outcome = outcome
        self._open = open_commits

    @property
    def storing(self) -> PendingReply:
        assert self._submitted.storing is not None
        return self._submitted.storing

    def begin(self) -> Callable[[], object]:
        """Answer once all is stored, which may be now; returns what cancels the call."""
        storing = self._submitted.storing
        if storing is None or storing.done():
            self._answer()
            return _nothing
        self._open.add(self)
        storing.call_when_done(self._stored)
        return self.cancel

    def cancel(self) -> None:
        """End the call for its caller."""
        self.end(CANCELLED)

    def end(self, reason: Failure) -> None:
        """Answer at once; what was submitted is stored all the same."""
        if self in self._open:
            self._open.remove(self)
            self._outcome.ended(reason)

    def _stored(self) -> None:
        if self in self._open:
            self._open.remove(self)
            self._answer()

    def _answer(self) -> None:
        try:
            response = self._submitted.answer()
            if self._admission is not None:
                self._admission.check()
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            self._outcome.failed(error)
        else:
            self._outcome.succeeded(response)


def _ignore(_response: Any, _failure: Failure | None) -> None:
    """Nobody waits for an answer."""


def _nothing() -> None:
    """There is nothing to cancel."""
