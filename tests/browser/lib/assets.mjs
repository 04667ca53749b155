// A site of one page, with the content security policy of the console: for tests of scripts without the server.
import { readFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";

export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const TYPES = { ".css": "text/css", ".js": "text/javascript" };

/** Serves `pages` by their paths, and the files below `assets`. Returns the address and what stops the server. */
export async function serve(pages, assets) {
  const server = http.createServer((request, response) => {
    const page = pages[request.url];
    response.setHeader("content-security-policy", POLICY);
    response.setHeader("x-content-type-options", "nosniff");
    if (page !== undefined) {
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(page);
      return;
    }
    const file = path.join(assets, path.normalize(request.url));
    const type = TYPES[path.extname(file)];
    if (!type || !file.startsWith(assets)) {
      response.writeHead(request.url === "/favicon.ico" ? 204 : 404).end();
      return;
    }
    response.setHeader("content-type", type);
    response.end(readFileSync(file));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { base: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}
