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

exports.a_chain_hands_on_its_results = async (stage) => {
  const chain = async function* chain(ctx, number) {
    for (let step = 0; step < 10; step++) number = yield ctx.callActivity(double, number);
    return number;
  };
  await stage.host([chain], [double]);

  const state = await stage.run(chain, 1);

  assert.equal(state.runtimeStatus, OrchestrationStatus.COMPLETED);
  assert.equal(state.serializedOutput, "1024");
};

exports.a_fan_out_keeps_the_order_of_its_inputs = async (stage) => {
  const inputs = Array.from({ length: 50 }, (_, number) => number);
  const fanOut = async function* fanOut(ctx) {
    return yield whenAll(inputs.map((number) => ctx.callActivity(double, number)));
  };
  await stage.host([fanOut], [double]);

  const state = await stage.run(fanOut);

  assert.deepEqual(JSON.parse(state.serializedOutput), inputs.map((number) => 2 * number));
};

exports.a_timer_fires_no_earlier_than_asked = async (stage) => {
  const nap = async function* nap(ctx) {
    const before = ctx.currentUtcDateTime.getTime();
    yield ctx.createTimer(new Date(before + 500));
    return ctx.currentUtcDateTime.getTime() - before;
  };
  await stage.host([nap]);

  const state = await stage.run(nap);

  const slept = JSON.parse(state.serializedOutput);
  assert.ok(slept >= 500 && slept < 10_000, `${slept} ms`);
};

exports.a_timer_and_an_event_race = async (stage) => {
  const race = async function* race(ctx, seconds) {
    const event = ctx.waitForExternalEvent("go");
    const winner = yield whenAny([event, ctx.createTimer(seconds)]);
    return winner === event ? event.getResult() : "timer";
  };
  await stage.host([race]);
  const patient = await stage.started(race, 3600);
  await stage.client.raiseOrchestrationEvent(patient, "go", { by: "event" });

  assert.deepEqual(JSON.parse((await stage.wait(patient)).serializedOutput), { by: "event" });
  assert.equal((await stage.run(race, 0.05)).serializedOutput, '"timer"');
};

exports.an_event_is_kept_until_it_is_waited_for = async (stage) => {
  const id = await stage.start(waitForEnd.name);
  await stage.client.raiseOrchestrationEvent(id, "END", "early");
  await stage.host([waitForEnd]);

  assert.equal((await stage.wait(id)).serializedOutput, '"early"');
};

exports.an_activity_is_tried_again_until_it_succeeds = async (stage) => {
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
  await stage.host([orchestrator], [attempt]);
  stage.ear.provoked(/attempt/);

  const state = await stage.run(orchestrator);

  assert.equal(state.serializedOutput, "4");
  assert.equal(calls, 4);
};

exports.a_failure_tells_what_went_wrong = async (stage) => {
  const fail = async () => {
    throw new RangeError("too far");
  };
  const orchestrator = async function* orchestrator(ctx) {
    return yield ctx.callActivity(fail);
  };
  await stage.host([orchestrator], [fail]);
  stage.ear.provoked(/too far/, /'(fail|orchestrator)' .* failed/);

  const state = await stage.run(orchestrator);

  assert.equal(state.runtimeStatus, OrchestrationStatus.FAILED);
  assert.match(state.failureDetails.message, /too far/);
};

exports.children_return_their_results = async (stage) => {
  const child = async function* child(ctx, number) {
    return yield ctx.callActivity(double, number);
  };
  const parent = async function* parent(ctx) {
    return yield whenAll([1, 2, 3].map((number) => ctx.callSubOrchestrator(child, number)));
  };
  await stage.host([parent, child], [double]);

  const state = await stage.run(parent);

  assert.deepEqual(JSON.parse(state.serializedOutput), [2, 4, 6]);
};

exports.continuing_as_new_fifty_times_starts_over = async (stage) => {
  const generations = async function* generations(ctx, number) {
    const doubled = yield ctx.callActivity(double, number);
    if (number <= 50) ctx.continueAsNew(number + 1, false);
    return doubled;
  };
  await stage.host([generations], [double]);

  assert.equal((await stage.run(generations, 1)).serializedOutput, "102");
};

exports.what_is_suspended_waits_until_it_is_resumed = async (stage) => {
  await stage.host([waitForEnd]);
  const id = await stage.started(waitForEnd);

  await stage.client.suspendOrchestration(id);
  await stage.reaches(id, OrchestrationStatus.SUSPENDED);
  await stage.client.raiseOrchestrationEvent(id, "end", "over");
  const suspended = await stage.client.getOrchestrationState(id);
  assert.equal(suspended.runtimeStatus, OrchestrationStatus.SUSPENDED);
  await stage.client.resumeOrchestration(id);

  assert.equal((await stage.wait(id)).serializedOutput, '"over"');
};

exports.what_is_terminated_ends_with_the_output_it_is_given = async (stage) => {
  await stage.host([waitForEnd]);
  const id = await stage.started(waitForEnd);

  await stage.client.terminateOrchestration(id, { why: "because" });

  const state = await stage.wait(id);
  assert.equal(state.runtimeStatus, OrchestrationStatus.TERMINATED);
  assert.deepEqual(JSON.parse(state.serializedOutput), { why: "because" });
};

exports.a_rewound_orchestration_repeats_only_what_failed = async (stage) => {
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
  await stage.host([orchestrator], [steady, shaky]);
  stage.ear.provoked(/provoked/, /'(shaky|orchestrator)' .* failed/);
  const id = await stage.start(orchestrator);
  assert.equal((await stage.wait(id)).runtimeStatus, OrchestrationStatus.FAILED);

  await stage.client.rewindInstance(id, "better luck");

  await stage.reaches(id, OrchestrationStatus.COMPLETED);
  assert.equal((await stage.wait(id)).serializedOutput, '"better"');
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

exports.a_lock_keeps_others_out = async (stage) => {
  stage.worker.addNamedEntity("tally", () => new Tally());
  await stage.host([addSlowly]);
  await stage.client.signalEntity(tally, "add", 100);

  const ids = await Promise.all(Array.from({ length: 10 }, () => stage.start(addSlowly)));
  const states = await Promise.all(ids.map((id) => stage.wait(id)));

  assert.deepEqual(states.map((state) => state.serializedOutput), Array(10).fill("1"));
  assert.equal((await stage.client.getEntity(tally)).state, 110);
};

exports.instances_are_found_read_and_purged = async (stage) => {
  const echo = async (_ctx, input) => input;
  await stage.host([echo]);
  for (const number of [1, 2, 3]) await stage.wait(await stage.start(echo, number, `echo-${number}`));

  const query = { instanceIdPrefix: "echo-", pageSize: 2, fetchInputsAndOutputs: true };
  const outputs = [];
  for await (const state of stage.client.getAllInstances(query)) outputs.push(state.serializedOutput);
  const page = await stage.client.listInstanceIds({ pageSize: 2 });
  const history = await stage.client.getOrchestrationHistory("echo-1");
  const purged = await stage.client.purgeOrchestration("echo-2");

  assert.deepEqual(outputs, ["1", "2", "3"]);
  assert.deepEqual([page.values, page.hasMoreResults], [["echo-1", "echo-2"], true]);
  assert.equal(history.at(-1).type, HistoryEventType.ExecutionCompleted);
  assert.equal(purged.deletedInstanceCount, 1);
  assert.equal(await stage.client.getOrchestrationState("echo-2"), undefined);
};

exports.what_does_not_exist_is_undefined = async (stage) => {
  assert.equal(await stage.client.getOrchestrationState("nobody"), undefined);
};
