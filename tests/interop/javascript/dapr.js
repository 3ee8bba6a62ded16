// Play scenarios with Dapr's SDK for JavaScript, and print as JSON how each went:
//
//     node dapr.js ADDRESS [NAME...]
//
// By scenario, `error` (null when it is fulfilled) and `warnings`; under the name "" what the SDK
// complained of. It offers no retries.
"use strict";

// The SDK tells everything it does on the console, and standard output is ours.
const said = [];
for (const level of ["debug", "info", "log", "warn", "error"])
  console[level] = (...words) => said.push(words.join(" "));

const assert = require("node:assert/strict");
const grpc = require("@grpc/grpc-js");
const { TaskHubGrpcClient, TaskHubGrpcWorker } = require("@dapr/durabletask-js");
const { whenAll, whenAny } = require("@dapr/durabletask-js/task");

const HUB = "dapr-js";
// Seconds, against hangs only: far beyond what any scenario needs.
const PATIENCE = 60;
const COMPLETED = 1, FAILED = 3, TERMINATED = 5, SUSPENDED = 7;

const double = async (_ctx, number) => 2 * number;

const fail = async () => {
  throw new RangeError("too far");
};

const chain = async function* chain(ctx, number) {
  for (let step = 0; step < 10; step++) number = yield ctx.callActivity(double, number);
  return number;
};

const fanOut = async function* fanOut(ctx, width) {
  // From 1 on: the SDK takes an activity's result of 0 for none.
  return yield whenAll(Array.from({ length: width }, (_, n) => ctx.callActivity(double, n + 1)));
};

const child = async function* child(ctx, number) {
  return yield ctx.callActivity(double, number);
};

const parent = async function* parent(ctx) {
  return yield whenAll([1, 2, 3].map((number) => ctx.callSubOrchestrator(child, number)));
};

const nap = async function* nap(ctx) {
  const before = ctx.currentUtcDateTime.getTime();
  yield ctx.createTimer(new Date(before + 500));
  return ctx.currentUtcDateTime.getTime() - before;
};

const race = async function* race(ctx, seconds) {
  const event = ctx.waitForExternalEvent("go");
  const winner = yield whenAny([event, ctx.createTimer(seconds)]);
  return winner === event ? event.getResult() : "timer";
};

const generations = async function* generations(ctx, number) {
  const doubled = yield ctx.callActivity(double, number);
  if (number <= 50) ctx.continueAsNew(number + 1, false);
  return doubled;
};

const waiting = async function* waiting(ctx) {
  return yield ctx.waitForExternalEvent("end");
};

const failing = async function* failing(ctx) {
  return yield ctx.callActivity(fail);
};

class Harness {
  constructor(address) {
    const toHub = (options, next) => {
      const start = (metadata, listener, go) => {
        metadata.set("taskhub", HUB);
        go(metadata, listener);
      };
      return new grpc.InterceptingCall(next(options), { start });
    };
    this.client = new TaskHubGrpcClient(address, { interceptors: [toHub] });
    this.worker = new TaskHubGrpcWorker(address, { interceptors: [toHub] });
    [chain, fanOut, child, parent, nap, race, generations, waiting, failing].forEach((each) =>
      this.worker.addOrchestrator(each),
    );
    [double, fail].forEach((each) => this.worker.addActivity(each));
  }

  start(orchestrator, input) {
    return this.client.scheduleNewOrchestration(orchestrator, input);
  }

  async started(orchestrator, input) {
    const id = await this.start(orchestrator, input);
    await this.client.waitForOrchestrationStart(id, false, PATIENCE);
    return id;
  }

  wait(id) {
    return this.client.waitForOrchestrationCompletion(id, true, PATIENCE);
  }

  // What the orchestration returns; rejects if it does not complete.
  async result(orchestrator, input) {
    const state = await this.wait(await this.start(orchestrator, input));
    assert.equal(state.runtimeStatus, COMPLETED);
    return JSON.parse(state.serializedOutput);
  }

  // The API has no call that waits for this.
  async reaches(id, status) {
    for (let left = PATIENCE * 50; left > 0; left--) {
      const state = await this.client.getOrchestrationState(id, true);
      if (state.runtimeStatus === status) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${id} did not reach status ${status}`);
  }
}

const scenarios = {
  async a_chain_hands_on_its_results(harness) {
    assert.equal(await harness.result(chain, 1), 1024);
  },

  async a_fan_out_keeps_the_order_of_its_inputs(harness) {
    const expected = Array.from({ length: 50 }, (_, number) => 2 * (number + 1));
    assert.deepEqual(await harness.result(fanOut, 50), expected);
  },

  async children_return_their_results(harness) {
    assert.deepEqual(await harness.result(parent), [2, 4, 6]);
  },

  async a_timer_fires_no_earlier_than_asked(harness) {
    const slept = await harness.result(nap);
    assert.ok(slept >= 500 && slept < 20_000, `${slept} ms`);
  },

  async a_timer_and_an_event_race(harness) {
    const patient = await harness.started(race, 3600);
    await harness.client.raiseOrchestrationEvent(patient, "go", { by: "event" });

    assert.deepEqual(JSON.parse((await harness.wait(patient)).serializedOutput), { by: "event" });
    assert.equal(await harness.result(race, 0.05), "timer");
  },

  async continuing_as_new_fifty_times_starts_over(harness) {
    assert.equal(await harness.result(generations, 1), 102);
  },

  async what_is_suspended_waits_until_it_is_resumed(harness) {
    const id = await harness.started(waiting);

    await harness.client.suspendOrchestration(id);
    await harness.reaches(id, SUSPENDED);
    await harness.client.raiseOrchestrationEvent(id, "end", "over");
    assert.equal((await harness.client.getOrchestrationState(id)).runtimeStatus, SUSPENDED);
    await harness.client.resumeOrchestration(id);

    assert.equal((await harness.wait(id)).serializedOutput, '"over"');
  },

  async what_is_terminated_ends_with_the_output_it_is_given(harness) {
    const id = await harness.started(waiting);

    await harness.client.terminateOrchestration(id, { why: "because" });

    const state = await harness.wait(id);
    assert.equal(state.runtimeStatus, TERMINATED);
    assert.deepEqual(JSON.parse(state.serializedOutput), { why: "because" });
  },

  async a_failure_tells_what_went_wrong(harness) {
    const state = await harness.wait(await harness.start(failing));

    assert.equal(state.runtimeStatus, FAILED);
    assert.match(state.failureDetails.message, /too far/);
  },
};

async function play(name, harness) {
  try {
    await scenarios[name](harness);
    return [name, { error: null, warnings: [] }];
  } catch (caught) {
    return [name, { error: caught.stack, warnings: [] }];
  }
}

async function main(address, ...names) {
  const harness = new Harness(address);
  await harness.worker.start();
  const wanted = names.length ? names : Object.keys(scenarios);
  const ends = await Promise.all(wanted.map((name) => play(name, harness)));
  const warnings = said.filter((line) => /stream error|abruptly|unknown work item|unable/i.test(line));
  await harness.worker.stop();
  await harness.client.stop();
  const printed = JSON.stringify(Object.fromEntries([...ends, ["", { error: null, warnings }]]));
  // The SDK's timeouts go on after what they guard is over, and would keep Node alive.
  process.stdout.write(printed, () => process.exit());
}

main(...process.argv.slice(2));
