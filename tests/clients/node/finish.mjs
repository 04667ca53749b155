// The end of a script: how it says whether everything holds.

import { APIConnectionError } from "openai";

import { Failed } from "./checks.mjs";

/** Does the work, and says how it ended: with 0 when everything holds. */
export async function finish(work) {
  try {
    await work();
    console.log("everything holds");
  } catch (error) {
    // What the record finds wrong with an answer reaches us as a failed connection of the client.
    const failure = error instanceof APIConnectionError ? error.cause : error;
    if (!(failure instanceof Failed)) throw error;
    console.log(`FAILED  ${failure.message}`);
    process.exitCode = 1;
  }
}
