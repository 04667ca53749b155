// Checks: one line for each that holds, an error that says what was expected for the first that does not.

import { inspect, isDeepStrictEqual } from "node:util";

/** A check did not hold. */
export class Failed extends Error {}

const shown = (value) => inspect(value, { depth: 6, breakLength: Infinity, maxArrayLength: null });

/** The check of that name passes when `holds` is true. */
export function check(name, holds, detail) {
  if (holds !== true) throw new Failed(detail === undefined ? name : `${name}: ${shown(detail)}`);
  console.log(`ok  ${name}`);
}

/** The check of that name passes when both are equal. */
export function equal(name, got, wanted) {
  if (!isDeepStrictEqual(got, wanted)) throw new Failed(`${name}: got ${shown(got)}, wanted ${shown(wanted)}`);
  console.log(`ok  ${name}`);
}

/** The check of that name passes when every item is among the others. */
export function among(name, some, all) {
  const missing = [...some].filter((item) => !all.includes(item));
  equal(name, missing, []);
}

/** The check of that name passes when the call is refused with this error, this code and this parameter. */
export async function refused(name, error, call, { code, param } = {}) {
  let answer;
  try {
    answer = await call();
  } catch (refusal) {
    if (!(refusal instanceof error)) throw new Failed(`${name}: wanted ${error.name}, got ${refusal.cause ?? refusal}`);
    if (code !== undefined) equal(`${name}: its code`, refusal.code, code);
    if (param !== undefined) check(`${name}: its parameter`, (refusal.param ?? "").startsWith(param), refusal.param);
    return check(name, true);
  }
  throw new Failed(`${name}: wanted ${error.name}, got the answer ${shown(answer)}`);
}
