// Lists, read page by page.

import { BadRequestError } from "openai";

import { check, equal, refused } from "./checks.mjs";

/** `read` lists at least three things. Read by two at a time, each comes once, in the order of long pages. */
export async function pages(run, name, read, key = (item) => item.id) {
  const wanted = (await Array.fromAsync(read({ limit: 100 }))).map(key);
  const offered = run.record.last.parameters;
  check(`${name}: long pages have all`, wanted.length > 2, wanted);
  equal(`${name}: nothing comes twice`, new Set(wanted).size, wanted.length);

  const all = async (words) => (await Array.fromAsync(read(words))).map(key);
  const calls = run.record.calls;
  equal(`${name}: page by page, each once and in order`, await all({ limit: 2 }), wanted);
  equal(`${name}: and no page more than that takes`, run.record.calls - calls, Math.ceil(wanted.length / 2));
  equal(`${name}: from the second one on`, await all({ after: wanted[0], limit: 2 }), wanted.slice(1));
  await refused(`${name}: an unknown cursor`, BadRequestError, () => read({ after: "nobody" }), { param: "after" });

  if (offered.includes("order")) {
    const both = [await all({ order: "asc", limit: 2 }), await all({ order: "desc", limit: 2 })];
    equal(`${name}: backwards`, both[0], both[1].toReversed());
    check(`${name}: in one of both orders when none is given`, both.some((one) => `${one}` === `${wanted}`), both);
  }
  if (offered.includes("before")) {
    const before = async (limit) => (await read({ before: wanted.at(-1), limit })).data.map(key);
    equal(`${name}: before the last`, await before(100), wanted.slice(-101, -1));
    equal(`${name}: two before the last`, await before(2), wanted.slice(-3, -1));
  }
  return wanted;
}
