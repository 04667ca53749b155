// Every page that links lead one person to: it answers, complains about nothing, is accessible in both themes, and fits into a
// narrow window. Names that look like markup are text.
import { check, equal, report } from "../lib/checks.mjs";
import { crawl } from "../lib/crawl.mjs";
import { signIn } from "../lib/sign_in.mjs";

const ROOTS = ["/console", "/account"];
const NARROW = 390;

/** `expected` are kinds of pages that must be among those found, `absent` are kinds that must not. */
export async function run(browser, { base, token, expected = [], absent = [], hostile = false }) {
  const visitor = await browser.visitor({ base });
  await signIn(visitor, token);
  const kinds = await crawl(visitor, `${base}/console`, ROOTS, async (kind, response) => {
    check(`${kind} answers 200`, response.status() === 200, response.status());
    await hasAFrame(visitor.page, kind);
    await visitor.expectAccessible();
    await visitor.expectFits(NARROW);
    if (hostile) await isText(visitor.page, kind);
    visitor.expectNoProblems();
  });
  for (const kind of expected) check(`there is a page ${kind}`, kinds.includes(kind), kinds);
  for (const kind of absent) check(`no link leads to ${kind}`, !kinds.includes(kind), kinds);
  report({ pages: kinds.length, kinds });
}

async function hasAFrame(page, kind) {
  equal(`${kind} has one heading of the first level`, await page.locator("h1").count(), 1);
  check(`${kind} has a title`, (await page.title()).length > 0);
}

/** Checks that no text of a person has become an element: hostile names contain `<i class=hostile>` and `<script>`. */
async function isText(page, kind) {
  const made = await page.locator(".hostile, main script, [onerror], [onclick]").count();
  equal(`${kind} shows hostile names as text`, made, 0);
  check(`${kind} runs nothing of a name`, !(await page.evaluate(() => globalThis.hostileCodeRan === true)));
}
