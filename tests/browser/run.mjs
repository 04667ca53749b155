// Runs a scenario: `run.mjs NAME`, with what it is about as JSON on standard input. Reports a line of JSON for each check;
// the last line is {"done": …}. Fails at the first check that does not hold.
import { readFileSync } from "node:fs";
import process from "node:process";

import { Browser } from "./lib/browser.mjs";
import { report } from "./lib/checks.mjs";

const [name] = process.argv.slice(2);
const input = JSON.parse(readFileSync(0, "utf8") || "{}");
const browser = await Browser.start();
try {
  const { run } = await import(`./scenarios/${name}.mjs`);
  await run(browser, input);
  report({ done: name });
} catch (error) {
  report({ failed: name, because: error.stack, problems: browser.problems() });
  await browser.keepEvidence(name);
  process.exitCode = 1;
} finally {
  await browser.stop();
}
