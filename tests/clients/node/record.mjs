// What the client sends, found again in the server's own document: the proof that no operation was left out.

import { Document } from "./document.mjs";
import { Failed, equal } from "./checks.mjs";

/** The requests of one run that succeeded, by operation, with the query parameters that they had. */
export class Record {
  #called = new Map();
  /** How many succeeded. */
  calls = 0;
  /** The operation of the last one. */
  last = null;

  constructor(document) {
    this.document = new Document(document);
  }

  /** A `fetch` for the client, which looks at every answer before the client does. */
  fetch = async (address, options) => {
    const url = new URL(address);
    const operation = this.document.operation((options.method ?? "GET").toUpperCase(), url.pathname);
    const response = await fetch(address, options);
    this.document.validate(operation, response.status, await response.clone().json());
    if (response.ok) this.#note(operation, url.searchParams);
    return response;
  };

  #note(operation, parameters) {
    const sent = this.#called.get(operation.name) ?? new Set();
    for (const name of parameters.keys()) sent.add(name.split("[")[0]);
    this.#called.set(operation.name, sent);
    this.calls += 1;
    this.last = operation;
  }

  /** Every operation that the official API has was called, and each of its query parameters was used. */
  complete() {
    const wanted = this.document.operations.filter((operation) => !operation.isOurs);
    if (wanted.length < 100) throw new Failed(`the document has only ${wanted.length} operations`);
    const uncalled = wanted.filter((operation) => !this.#called.has(operation.name));
    equal("operations that were not called", uncalled.map((operation) => operation.name), []);
    const unused = wanted.flatMap(({ name, parameters }) =>
      parameters.filter((parameter) => !this.#called.get(name).has(parameter)).map((parameter) => `${name}: ${parameter}`),
    );
    equal("parameters that were not used", unused, []);
    console.log(`${wanted.length} operations, ${this.calls} calls`);
  }
}
