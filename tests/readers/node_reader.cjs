// Reads requests as servers in Node do: a line of JSON in, a line of JSON out.
//
// In: `content_type` and `body` (base64). Out: `json`, the text of what JSON.parse made of it, or null; `fields`, what
// busboy found, or null.
"use strict";
const readline = require("node:readline");
const busboy = require("busboy");

function asJson(body) {
  const text = body.toString("utf8").replace(/^\uFEFF/, "");
  try {
    return JSON.stringify(JSON.parse(text), (_, value) => (value === Infinity ? 1e308 : value === -Infinity ? -1e308 : value));
  } catch {
    return null;
  }
}

function asForm(contentType, body) {
  return new Promise((resolve) => {
    const fields = [];
    let reader;
    try {
      reader = busboy({ headers: { "content-type": contentType }, defParamCharset: "utf8" });
    } catch {
      return resolve(null);
    }
    reader.on("field", (name, value) => fields.push([name, Buffer.from(value).toString("base64"), null]));
    reader.on("file", (name, stream, info) => {
      const pieces = [];
      stream.on("data", (piece) => pieces.push(piece));
      stream.on("end", () => fields.push([name, Buffer.concat(pieces).toString("base64"), info.filename ?? ""]));
      stream.on("error", () => {});
    });
    // What was read before something went wrong may have been acted on.
    reader.on("error", () => resolve(fields));
    reader.on("close", () => resolve(fields));
    reader.end(body);
  });
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const body = Buffer.from(request.body, "base64");
    const isForm = /multipart|urlencoded/i.test(request.content_type ?? "");
    const fields = isForm ? await asForm(request.content_type, body) : null;
    process.stdout.write(`${JSON.stringify({ json: asJson(body), fields })}\n`);
  }
}

main();
