// Claims about a backend, told in Microsoft's SDK for JavaScript. Each rejects when it is not true.
"use strict";

const assert = require("node:assert/strict");
const {
  EntityInstanceId,
  HistoryEventType,
  OrchestrationStatus,
  RetryPolicy,
  TaskEntity,
  whenAll,
  whenAny,
} = require("@microsoft/durabletask-js");

const double = async (_ctx, number) => 2 * number;

const waitForEnd = async function* waitForEnd(ctx) {
  return yield ctx.waitForExternalEvent("end");
};

exports.a_chain_hands_on_its_results = async (harness) => {
  const chain = async function* chain(ctx, number) {
    for (let step = 0; step < 10; step++) number = yield ctx.callActivity(double, number);
    return number;
  };
  await harness.host([chain], [double]);

  const state = await harness.run(chain, 1);

  assert.equal(state.runtimeStatus, OrchestrationStatus.COMPLETED);
  assert.equal(state.serializedOutput, "1024");
};

exports.a_fan_out_keeps_the_order_of_its_inputs = async (harness) => {
  const inputs = Array.from({ length: 50 }, (_, number) => number);
  const fanOut = async function* fanOut(ctx) {
    return yield whenAll(inputs.map((number) => ctx.callActivity(double, number)));
  };
  await harness.host([fanOut], [double]);

  const state = await harness.run(fanOut);

  assert.deepEqual(JSON.parse(state.serializedOutput), inputs.map((number) => 2 * number));
};

exports.a_timer_fires_no_earlier_than_asked = async (harness) => {
  const nap = async function* nap(ctx) {
    const before = ctx.currentUtcDateTime.getTime();
    yield ctx.createTimer(new Date(before + 500));
    return ctx.currentUtcDateTime.getTime() - before;
  };
  await harness.host([nap]);

  const state = await harness.run(nap);

  const slept = JSON.parse(state.serializedOutput);
  assert.ok(slept >= 500 && slept < 10_000, `${slept} ms`);
};

exports.a_timer_and_an_event_race = async (harness) => {
  const race = async function* race(ctx, seconds) {
    const event = ctx.waitForExternalEvent("go");
    const winner = yield whenAny([event, ctx.createTimer(seconds)]);
    return winner === event ? event.getResult() : "timer";
  };
  await harness.host([race]);
  const patient = await harness.started(race, 3600);
  await harness.client.raiseOrchestrationEvent(patient, "go", { by: "event" });

  assert.deepEqual(JSON.parse((await harness.wait(patient)).serializedOutput), { by: "event" });
  assert.equal((await harness.run(race, 0.05)).serializedOutput, '"timer"');
};

exports.an_event_is_kept_until_it_is_waited_for = async (harness) => {
  const id = await harness.start(waitForEnd.name);
  await harness.client.raiseOrchestrationEvent(id, "END", "early");
  await harness.host([waitForEnd]);

  assert.equal((await harness.wait(id)).serializedOutput, '"early"');
};

exports.an_activity_is_tried_again_until_it_succeeds = async (harness) => {
  let calls = 0;
  const attempt = async () => {
    calls += 1;
    if (calls < 4) throw new Error(`attempt ${calls}`);
    return calls;
  };
  const retry = new RetryPolicy({ maxNumberOfAttempts: 5, firstRetryIntervalInMilliseconds: 20 });
  const orchestrator = async function* orchestrator(ctx) {
    return yield ctx.callActivity(attempt, undefined, { retry });
  };
  await harness.host([orchestrator], [attempt]);
  harness.log.provoked(/attempt/);

  const state = await harness.run(orchestrator);

  assert.equal(state.serializedOutput, "4");
  assert.equal(calls, 4);
};

exports.a_failure_tells_what_went_wrong = async (harness) => {
  const fail = async () => {
    throw new RangeError("too far");
  };
  const orchestrator = async function* orchestrator(ctx) {
    return yield ctx.callActivity(fail);
  };
  await harness.host([orchestrator], [fail]);
  harness.log.provoked(/too far/, /'(fail|orchestrator)' .* failed/);

  const state = await harness.run(orchestrator);

  assert.equal(state.runtimeStatus, OrchestrationStatus.FAILED);
  assert.match(state.failureDetails.message, /too far/);
};

exports.children_return_their_results = async (harness) => {
  const child = async function* child(ctx, number) {
    return yield ctx.callActivity(double, number);
  };
  const parent = async function* parent(ctx) {
    return yield whenAll([1, 2, 3].map((number) => ctx.callSubOrchestrator(child, number)));
  };
  await harness.host([parent, child], [double]);

  const state = await harness.run(parent);

  assert.deepEqual(JSON.parse(state.serializedOutput), [2, 4, 6]);
};

exports.continuing_as_new_fifty_times_starts_over = async (harness) => {
  const generations = async function* generations(ctx, number) {
    const doubled = yield ctx.callActivity(double, number);
    if (number <= 50) ctx.continueAsNew(number + 1, false);
    return doubled;
  };
  await harness.host([generations], [double]);

  assert.equal((await harness.run(generations, 1)).serializedOutput, "102");
};

exports.what_is_suspended_waits_until_it_is_resumed = async (harness) => {
  await harness.host([waitForEnd]);
  const id = await harness.started(waitForEnd);

  await harness.client.suspendOrchestration(id);
  await harness.reaches(id, OrchestrationStatus.SUSPENDED);
  await harness.client.raiseOrchestrationEvent(id, "end", "over");
  const suspended = await harness.client.getOrchestrationState(id);
  assert.equal(suspended.runtimeStatus, OrchestrationStatus.SUSPENDED);
  await harness.client.resumeOrchestration(id);

  assert.equal((await harness.wait(id)).serializedOutput, '"over"');
};

exports.what_is_terminated_ends_with_the_output_it_is_given = async (harness) => {
  await harness.host([waitForEnd]);
  const id = await harness.started(waitForEnd);

  await harness.client.terminateOrchestration(id, { why: "because" });

  const state = await harness.wait(id);
  assert.equal(state.runtimeStatus, OrchestrationStatus.TERMINATED);
  assert.deepEqual(JSON.parse(state.serializedOutput), { why: "because" });
};

exports.a_rewound_orchestration_repeats_only_what_failed = async (harness) => {
  const calls = { steady: 0, shaky: 0 };
  const steady = async () => (calls.steady += 1);
  const shaky = async () => {
    calls.shaky += 1;
    if (calls.shaky === 1) throw new Error("provoked");
    return "better";
  };
  const orchestrator = async function* orchestrator(ctx) {
    yield ctx.callActivity(steady);
    return yield ctx.callActivity(shaky);
  };
  await harness.host([orchestrator], [steady, shaky]);
  harness.log.provoked(/provoked/, /'(shaky|orchestrator)' .* failed/);
  const id = await harness.start(orchestrator);
  assert.equal((await harness.wait(id)).runtimeStatus, OrchestrationStatus.FAILED);

  await harness.client.rewindInstance(id, "better luck");

  await harness.reaches(id, OrchestrationStatus.COMPLETED);
  assert.equal((await harness.wait(id)).serializedOutput, '"better"');
  assert.deepEqual(calls, { steady: 1, shaky: 2 });
};

class Tally extends TaskEntity {
  add(amount) {
    this.state += amount;
    return this.state;
  }

  get() {
    return this.state;
  }

  initializeState() {
    return 0;
  }
}

const tally = new EntityInstanceId("tally", "one");

// Loses an update unless no other does the same at once.
const addSlowly = async function* addSlowly(ctx) {
  const lock = yield ctx.entities.lockEntities(tally);
  const before = yield ctx.entities.callEntity(tally, "get");
  yield ctx.createTimer(0.02);
  const after = yield ctx.entities.callEntity(tally, "add", 1);
  lock.release();
  return after - before;
};

exports.a_lock_keeps_others_out = async (harness) => {
  harness.worker.addNamedEntity("tally", () => new Tally());
  await harness.host([addSlowly]);
  await harness.client.signalEntity(tally, "add", 100);

  const ids = await Promise.all(Array.from({ length: 10 }, () => harness.start(addSlowly)));
  const states = await Promise.all(ids.map((id) => harness.wait(id)));

  assert.deepEqual(states.map((state) => state.serializedOutput), Array(10).fill("1"));
  assert.equal((await harness.client.getEntity(tally)).state, 110);
};

exports.instances_are_found_read_and_purged = async (harness) => {
  const echo = async (_ctx, input) => input;
  await harness.host([echo]);
  for (const number of [1, 2, 3]) await harness.wait(await harness.start(echo, number, `echo-${number}`));

  const query = { instanceIdPrefix: "echo-", pageSize: 2, fetchInputsAndOutputs: true };
  const outputs = [];
  for await (const state of harness.client.getAllInstances(query)) outputs.push(state.serializedOutput);
  const page = await harness.client.listInstanceIds({ pageSize: 2 });
  const history = await harness.client.getOrchestrationHistory("echo-1");
  const purged = await harness.client.purgeOrchestration("echo-2");

  assert.deepEqual(outputs, ["1", "2", "3"]);
  assert.deepEqual([page.values, page.hasMoreResults], [["echo-1", "echo-2"], true]);
  assert.equal(history.at(-1).type, HistoryEventType.ExecutionCompleted);
  assert.equal(purged.deletedInstanceCount, 1);
  assert.equal(await harness.client.getOrchestrationState("echo-2"), undefined);
};

exports.what_does_not_exist_is_undefined = async (harness) => {
  assert.equal(await harness.client.getOrchestrationState("nobody"), undefined);
};
