// What the steps share: the client, the record of what it sent, and who and what is there already.

import OpenAI from "openai";

import { Failed, equal } from "./checks.mjs";
import { Record } from "./record.mjs";

const PEOPLE = 6;

/** The value of an environment variable that has to be set. */
function fromEnvironment(name) {
  const value = process.env[name];
  if (!value) throw new Failed(`the environment variable ${name} is not set`);
  return value;
}

/** One run against one server. */
export class Run {
  #baseURL = fromEnvironment("OPENAI_BASE_URL").replace(/\/$/, "");
  #adminKey = fromEnvironment("OPENAI_ADMIN_KEY");
  certificates = JSON.parse(fromEnvironment("ORGPLANE_TEST_CERTIFICATES"));
  prices = JSON.parse(fromEnvironment("ORGPLANE_TEST_PRICES"));

  static async start() {
    const run = new Run();
    const document = await fetch(run.#baseURL.replace(/\/v1$/, "/openapi.json"));
    run.record = new Record(await document.json());
    run.admin = run.clientOf(run.#adminKey).admin.organization;
    run.owner = (await run.admin.adminAPIKeys.list()).data[0].owner.id;
    const users = await Array.fromAsync(run.admin.users.list());
    run.people = users.filter((user) => user.id !== run.owner);
    equal("people besides the owner", run.people.length, PEOPLE);
    return run;
  }

  /** A client that administers with this key, tries once, and whose requests are recorded. */
  clientOf(key) {
    return new OpenAI({
      baseURL: this.#baseURL,
      adminAPIKey: key,
      apiKey: key,
      fetch: this.record.fetch,
      maxRetries: 0,
      timeout: 30_000,
    });
  }

  /** A request to an operation of our own, which the client has no method for. */
  async extension(path, body) {
    const headers = { authorization: `Bearer ${this.#adminKey}`, "content-type": "application/json" };
    const answer = await fetch(this.#baseURL + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Failed(`POST ${path} answered ${answer.status}: ${await answer.text()}`);
    return answer.json();
  }
}
