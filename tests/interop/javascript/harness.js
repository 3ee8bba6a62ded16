// What a scenario stands on: a task hub of its own, a client, a worker, and an open log.
"use strict";

const { Metadata } = require("@grpc/grpc-js");
const { TaskHubGrpcClient, TaskHubGrpcWorker } = require("@microsoft/durabletask-js");

// Seconds, against hangs only: far beyond what any scenario needs.
const PATIENCE = 30;

// Remembers every warning and error it hears, but for those that the scenario provokes.
class WarningLog {
  warnings = [];
  #provoked = [];

  provoked(...patterns) {
    this.#provoked.push(...patterns);
  }

  error = (message) => this.#add(`ERROR: ${message}`);
  warn = (message) => this.#add(`WARNING: ${message}`);
  info() {}
  debug() {}

  #add(message) {
    if (!this.#provoked.some((pattern) => pattern.test(message))) this.warnings.push(message);
  }
}

class Harness {
  constructor(address, hub) {
    const log = new WarningLog();
    const metadataGenerator = async () => {
      const metadata = new Metadata();
      metadata.set("taskhub", hub);
      return metadata;
    };
    const connection = { hostAddress: address, metadataGenerator, logger: log };
    this.log = log;
    this.client = new TaskHubGrpcClient(connection);
    this.worker = new TaskHubGrpcWorker(connection);
    this.works = false;
  }

  async host(orchestrators, activities = []) {
    orchestrators.forEach((one) => this.worker.addOrchestrator(one));
    activities.forEach((one) => this.worker.addActivity(one));
    await this.worker.start();
    this.works = true;
  }

  async close() {
    if (this.works) await this.worker.stop();
    await this.client.stop();
  }

  start(orchestrator, input, instanceId) {
    return this.client.scheduleNewOrchestration(orchestrator, input, instanceId);
  }

  async started(orchestrator, input) {
    const id = await this.start(orchestrator, input);
    await this.client.waitForOrchestrationStart(id, false, PATIENCE);
    return id;
  }

  wait(id) {
    return this.client.waitForOrchestrationCompletion(id, true, PATIENCE);
  }

  async run(orchestrator, input) {
    return this.wait(await this.start(orchestrator, input));
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

module.exports = { Harness };
