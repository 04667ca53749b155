// Checks, each reported as a line of JSON.
import { isDeepStrictEqual } from "node:util";

/** Prints a line of the report. */
export function report(line) {
  console.log(JSON.stringify(line));
}

/** Reports that something holds; throws if it does not. */
export function check(sentence, holds, facts = undefined) {
  if (!holds) throw new Error(`${sentence}: ${JSON.stringify(facts)}`);
  report({ check: sentence });
}

/** Checks that a value is the expected one. */
export function equal(sentence, found, expected) {
  check(sentence, isDeepStrictEqual(found, expected), { found, expected });
}

/** Checks that a text contains another one. */
export function contains(sentence, text, part) {
  check(sentence, text.includes(part), { text: text.slice(0, 2000), part });
}

/** Waits until `look` returns something true, and returns it. */
export async function eventually(sentence, look, milliseconds = 15_000) {
  const deadline = performance.now() + milliseconds;
  let found = await look();
  while (!found && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    found = await look();
  }
  check(sentence, found, found);
  return found;
}
