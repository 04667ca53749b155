// Calls every operation with the official client, whose method is found by its route: the HTTP method and the path that it
// asks for. After `npm ci` in `tests/clients`:
//
//     OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_ADMIN_KEY=sk-admin-… node by_route.mjs < requests.json
//
// The requests are a list, in an order in which each has something to act on. Each has its `method`, the `template` of its
// path, the `ids` in the path, the `query` and the `body`. Proves by the document of the server that none was left out, and
// that every answer is as the document says.

import { text } from "node:stream/consumers";

import OpenAI from "openai";

import { Failed, equal } from "./checks.mjs";
import { finish } from "./finish.mjs";
import { Record } from "./record.mjs";

/** A path in which every parameter, marked or in braces, is the same. */
const pattern = (path) => path.replaceAll(/__\w+?__|\{\w+\}/g, "{}");

/** An argument that stands for anything: a text of its own name, and an object that has every field and shows none. */
function anything(name) {
  const get = (_, key) => (typeof key === "symbol" ? undefined : key === "toString" ? () => `__${name}__` : anything(key));
  return new Proxy({}, { get, ownKeys: () => [] });
}

/** A method of a resource, with its route and its parameters that go to the path. */
class Method {
  static async of(resource, name) {
    const asked = [];
    const ask = (method) => (path, options) => asked.push({ method, path, options });
    const client = { get: ask("GET"), post: ask("POST"), delete: ask("DELETE") };
    client.getAPIList = (path, _, options) => ask("GET")(path, options);
    const own = Object.create(resource, { _client: { value: client } });
    resource[name].call(own, anything("first"), anything("second"));
    if (asked.length !== 1) throw new Failed(`${resource.constructor.name}.${name} asks ${asked.length} times`);
    const [{ method, path, options }] = asked;
    // A list that is changed is asked for with another method.
    const { method: other = method } = (await options) ?? {};
    return new Method(resource, name, other.toUpperCase(), path);
  }

  constructor(resource, name, method, path) {
    this.route = `${method} ${pattern(path)}`;
    this.inPath = [...path.matchAll(/__(\w+?)__/g)].map(([, parameter]) => parameter);
    this.call = (...words) => resource[name](...words);
  }

  /** Sends the request. The first parameter may be an id; all others are fields of one object. */
  send({ ids, query, body }) {
    const words = { ...query, ...body };
    const first = [];
    this.inPath.forEach((name, place) => {
      if (name === "first") first.push(ids[place]);
      else words[name] = ids[place];
    });
    return Object.keys(words).length > 0 ? this.call(...first, words) : this.call(...first);
  }
}

/** All methods below a resource. */
async function* methods(resource) {
  for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(resource))) {
    if (name !== "constructor") yield await Method.of(resource, name);
  }
  for (const [name, inner] of Object.entries(resource)) {
    if (name !== "_client") yield* methods(inner);
  }
}

/** Request by request. */
async function byRoute() {
  const { OPENAI_BASE_URL: baseURL, OPENAI_ADMIN_KEY: apiKey } = process.env;
  const document = await fetch(baseURL.replace(/\/v1$/, "/openapi.json"));
  const record = new Record(await document.json());
  const client = new OpenAI({ baseURL, apiKey, adminAPIKey: apiKey, fetch: record.fetch, maxRetries: 0, timeout: 30_000 });
  const found = new Map();
  for await (const method of methods(client.admin.organization)) found.set(method.route, method);
  for (const request of JSON.parse(await text(process.stdin))) {
    const operation = `${request.method} ${request.template}`;
    const method = found.get(pattern(operation));
    if (!method) throw new Failed(`the client has no method for ${operation}`);
    await method.send(request);
    equal("called", record.last.name, operation);
  }
  record.complete();
}

await finish(byRoute);
