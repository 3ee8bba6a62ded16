// Play scenarios with Dapr's SDK for JavaScript, and print as JSON how each went:
//
//     node dapr.js ADDRESS [NAME...]
//
// By scenario, `error` (null when it is fulfilled) and `heard`; under the name "" what the SDK
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

class Stage {
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
  async a_chain_hands_on_its_results(stage) {
    assert.equal(await stage.result(chain, 1), 1024);
  },

  async a_fan_out_keeps_the_order_of_its_inputs(stage) {
    const expected = Array.from({ length: 50 }, (_, number) => 2 * (number + 1));
    assert.deepEqual(await stage.result(fanOut, 50), expected);
  },

  async children_return_their_results(stage) {
    assert.deepEqual(await stage.result(parent), [2, 4, 6]);
  },

  async a_timer_fires_no_earlier_than_asked(stage) {
    const slept = await stage.result(nap);
    assert.ok(slept >= 500 && slept < 20_000, `${slept} ms`);
  },

  async a_timer_and_an_event_race(stage) {
    const patient = await stage.started(race, 3600);
    await stage.client.raiseOrchestrationEvent(patient, "go", { by: "event" });

    assert.deepEqual(JSON.parse((await stage.wait(patient)).serializedOutput), { by: "event" });
    assert.equal(await stage.result(race, 0.05), "timer");
  },

  async continuing_as_new_fifty_times_starts_over(stage) {
    assert.equal(await stage.result(generations, 1), 102);
  },

  async what_is_suspended_waits_until_it_is_resumed(stage) {
    const id = await stage.started(waiting);

    await stage.client.suspendOrchestration(id);
    await stage.reaches(id, SUSPENDED);
    await stage.client.raiseOrchestrationEvent(id, "end", "over");
    assert.equal((await stage.client.getOrchestrationState(id)).runtimeStatus, SUSPENDED);
    await stage.client.resumeOrchestration(id);

    assert.equal((await stage.wait(id)).serializedOutput, '"over"');
  },

  async what_is_terminated_ends_with_the_output_it_is_given(stage) {
    const id = await stage.started(waiting);

    await stage.client.terminateOrchestration(id, { why: "because" });

    const state = await stage.wait(id);
    assert.equal(state.runtimeStatus, TERMINATED);
    assert.deepEqual(JSON.parse(state.serializedOutput), { why: "because" });
  },

  async a_failure_tells_what_went_wrong(stage) {
    const state = await stage.wait(await stage.start(failing));

    assert.equal(state.runtimeStatus, FAILED);
    assert.match(state.failureDetails.message, /too far/);
  },
};

async function play(name, stage) {
  try {
    await scenarios[name](stage);
    return [name, { error: null, heard: [] }];
  } catch (caught) {
    return [name, { error: caught.stack, heard: [] }];
  }
}

async function main(address, ...names) {
  const stage = new Stage(address);
  await stage.worker.start();
  const wanted = names.length ? names : Object.keys(scenarios);
  const ends = await Promise.all(wanted.map((name) => play(name, stage)));
  const heard = said.filter((line) => /stream error|abruptly|unknown work item|unable/i.test(line));
  await stage.worker.stop();
  await stage.client.stop();
  const printed = JSON.stringify(Object.fromEntries([...ends, ["", { error: null, heard }]]));
  // The SDK's timeouts go on after what they guard is over, and would keep Node alive.
  process.stdout.write(printed, () => process.exit());
}

main(...process.argv.slice(2));
