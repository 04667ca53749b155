// The server's own document: its operations, and what their answers look like.

import Ajv2020 from "ajv/dist/2020.js";

import { Failed } from "./checks.mjs";

const METHODS = ["get", "post", "delete"];
const FORMATS = {
  int64: { type: "number", validate: Number.isSafeInteger },
  uint: { type: "number", validate: (value) => Number.isSafeInteger(value) && value >= 0 },
  double: { type: "number", validate: Number.isFinite },
  email: /^[^@\s]+@[^@\s]+$/,
};

/** The document of a server, which validates answers. */
export class Document {
  #validators = new Map();
  #ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true, formats: FORMATS });

  constructor(document) {
    this.#ajv.addVocabulary([...Object.keys(document), "x-enum-descriptions"]);
    this.#ajv.addSchema(closed(document), "document");
    this.operations = Object.entries(document.paths).flatMap(([template, described]) =>
      METHODS.filter((method) => method in described).map((method) => operation(method, template, described[method])),
    );
    // Of the operations that a path fits, the one that spells most of it out is meant.
    this.operations.sort((one, other) => one.placeholders - other.placeholders);
  }

  /** The operation that a request is for. */
  operation(method, path) {
    const found = this.operations.find((one) => one.method === method && one.pattern.test(path));
    if (!found) throw new Failed(`the client sent ${method} ${path}, which is no operation of the server's document`);
    return found;
  }

  /** Fails unless the document describes this answer of an operation, with nothing missing and nothing more. */
  validate(operation, status, body) {
    const range = `${Math.floor(status / 100)}XX`;
    const documented = status in operation.answers ? status : range;
    const answer = operation.answers[documented];
    if (!answer) throw new Failed(`${operation.name} answered ${status}, which its document does not have`);
    const own = `#/paths/${pointer(operation.template)}/${operation.method.toLowerCase()}/responses/${documented}`;
    const valid = this.#validator(`document${answer.$ref ?? own}/content/application~1json/schema`);
    if (valid(body)) return;
    const wrong = valid.errors.map(
      ({ instancePath, message, params }) => `at ${instancePath || "/"}: ${message} ${JSON.stringify(params)}`,
    );
    const lines = [`${operation.name} answered ${status}, not as documented`, ...wrong, JSON.stringify(body)];
    throw new Failed(lines.join("\n"));
  }

  #validator($ref) {
    if (!this.#validators.has($ref)) this.#validators.set($ref, this.#ajv.compile({ $ref }));
    return this.#validators.get($ref);
  }
}

function operation(method, template, described) {
  const parameters = (described.parameters ?? []).filter((parameter) => parameter.in === "query");
  return {
    name: `${method.toUpperCase()} ${template}`,
    method: method.toUpperCase(),
    template,
    pattern: new RegExp(`^/v1${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`),
    placeholders: template.split("{").length,
    parameters: parameters.filter((parameter) => parameter["x-orgplane"] !== true).map((parameter) => parameter.name),
    answers: described.responses,
    isOurs: described["x-orgplane"] === true,
  };
}

/** A path as a part of a JSON pointer in a URL's fragment. */
function pointer(path) {
  return encodeURIComponent(path.replaceAll("~", "~0").replaceAll("/", "~1"));
}

/** The same with every object closed: clients may expect more some day, but what the server sends is to be documented. */
function closed(value) {
  if (Array.isArray(value)) return value.map(closed);
  if (value === null || typeof value !== "object") return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, closed(inner)]));
  const isObject = [value.type].flat().includes("object") && typeof value.properties === "object";
  return isObject && !("additionalProperties" in value) ? { ...copy, additionalProperties: false } : copy;
}
