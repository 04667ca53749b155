// Largest contentful paint of pages, in milliseconds since the navigation began: the first visit of a browser that has
// nothing, and the next one, whose browser has the style sheet and the scripts.
import { report } from "../lib/checks.mjs";
import { signIn } from "../lib/sign_in.mjs";

/** Time within which a page has painted, in milliseconds. */
const PAINT_TIMEOUT = 5_000;

export async function run(browser, { base, token, paths }) {
  for (const path of paths) {
    const visitor = await browser.visitor({ base });
    await signIn(visitor, token);
    const first = await paint(visitor.page, path);
    const next = await paint(visitor.page, path);
    report({ path, first, next });
    await visitor.context.close();
  }
}

async function paint(page, path) {
  await page.goto(path, { waitUntil: "load" });
  return page.evaluate(
    (timeout) =>
      new Promise((resolve, reject) => {
        const observe = (list) => resolve(list.getEntries().at(-1).startTime);
        new PerformanceObserver(observe).observe({ type: "largest-contentful-paint", buffered: true });
        setTimeout(() => reject(new Error("nothing was painted")), timeout);
      }),
    PAINT_TIMEOUT,
  );
}
