// Play scenarios with Microsoft's SDK for JavaScript, and print as JSON how each went:
//
//     node microsoft.js ADDRESS [NAME...]
//
// By scenario, `error` (null when it is fulfilled) and `warnings`, what the SDK warned of.
// Their hubs are named after them, and after this program, for others name theirs alike.
"use strict";

const scenarios = require("./scenarios.js");
const { Harness } = require("./harness.js");

async function play(name, address) {
  const harness = new Harness(address, `js-${name}`);
  let error = null;
  try {
    await scenarios[name](harness);
  } catch (caught) {
    error = caught.stack;
  }
  await harness.close();
  return [name, { error, warnings: harness.log.warnings }];
}

async function main(address, ...names) {
  const wanted = names.length ? names : Object.keys(scenarios);
  const ends = await Promise.all(wanted.map((name) => play(name, address)));
  // On a busy machine the SDK may begin to reconnect while it is stopped, and then never ends.
  process.stdout.write(JSON.stringify(Object.fromEntries(ends)), () => process.exit());
}

main(...process.argv.slice(2));
