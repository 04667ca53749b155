// What people may not do: controls say which permission is missing, the server refuses, and others' things do not exist.
import { check, contains, equal, eventually } from "../lib/checks.mjs";
import { signIn } from "../lib/sign_in.mjs";

export async function run(browser, { base, token, reader, member, project_id: project, foreign_project_id: foreign }) {
  await aStrangerSignsInFirst(browser, base);
  await aReaderReads(browser, base, reader, project);
  await aMemberSeesOwnThings(browser, base, member);
  await othersDoNotExist(browser, base, token, foreign);
  await otherSitesMayNotPost(browser, base, token);
  await keysReachEverything(browser, base, token);
}

async function aStrangerSignsInFirst(browser, base) {
  const visitor = await browser.visitor({ base });
  await visitor.page.goto("/console/costs?range=7d");
  const url = new URL(visitor.page.url());
  equal("whoever is not signed in is led to the sign-in page", url.pathname, "/sign-in");
  equal("and from there back", url.searchParams.get("target"), "/console/costs?range=7d");
  equal("files of the console need a session too", (await visitor.page.request.get("/console/audit_logs?format=csv", { maxRedirects: 0 })).status(), 303);
}

async function aReaderReads(browser, base, reader, project) {
  const visitor = await browser.visitor({ base });
  await signIn(visitor, reader);
  const { page } = visitor;
  await visitor.open("/console/projects");
  const create = page.locator("main button[disabled]", { hasText: "Create" }).first();
  contains("a control names the missing permission", await create.getAttribute("aria-label"), "api.organization.projects.write");
  for (const path of ["/console/costs", "/console/audit_logs", "/console/usage/completions", "/console/usage/events", "/console/spend"]) {
    await visitor.open(path, 403);
    contains(`${path} says what is missing`, await page.locator("main").innerText(), "permission");
  }
  const posted = await page.request.post("/console/projects/new", { form: { name: "Mine" }, headers: { "sec-fetch-site": "same-origin", origin: base } });
  equal("the server refuses what has no control", posted.status(), 403);
  await visitor.open(`/console/projects/${project}`);
  visitor.expectNoProblems();
}

async function aMemberSeesOwnThings(browser, base, member) {
  const visitor = await browser.visitor({ base });
  await signIn(visitor, member);
  await visitor.open("/console");
  await visitor.open("/console/me");
  contains("everyone has an account page", await visitor.text(), "My API keys");
  await visitor.open("/console/costs", 403);
  visitor.expectNoProblems();
}

async function othersDoNotExist(browser, base, token, foreign) {
  const visitor = await browser.visitor({ base });
  await signIn(visitor, token);
  await visitor.open(`/console/projects/${foreign}`, 404);
  await visitor.open("/console/projects/proj_nothing", 404);
  await visitor.open("/console/no-such-screen", 404);
  await visitor.open(`/console/usage/completions?range=7d&project_ids=${foreign}`);
  contains("a filter by others' projects finds nothing", await visitor.text(), "Nothing recorded");
  visitor.expectNoProblems();
}

/** Another site cannot send a form with the visitor's cookie, nor show a page in a frame. */
async function otherSitesMayNotPost(browser, base, token) {
  const visitor = await browser.visitor({ base });
  await signIn(visitor, token);
  for (const headers of [{ "sec-fetch-site": "cross-site" }, { origin: "https://evil.example" }]) {
    const posted = await visitor.page.request.post("/console/groups/new", { form: { name: "Evil" }, headers });
    equal(`a form of another site is refused (${Object.keys(headers)})`, posted.status(), 403);
  }
  const response = await visitor.open("/console");
  contains("no page is shown in a frame", response.headers()["content-security-policy"], "frame-ancestors 'none'");
}

async function keysReachEverything(browser, base, token) {
  const visitor = await browser.visitor({ base });
  await signIn(visitor, token);
  const { page } = visitor;
  await visitor.open("/console");
  await page.keyboard.press("Tab");
  equal("the first stop skips the navigation", await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  equal("and leads to the content", await page.evaluate(() => document.activeElement.id), "main");
  await page.keyboard.press("Control+k");
  const dialog = page.locator("dialog[open]");
  await dialog.waitFor();
  await page.keyboard.type("audit");
  await eventually("screens are found by words", async () => {
    const first = dialog.locator("[role=option]").first();
    return (await first.count()) > 0 && (await first.innerText()).includes("Audit log");
  });
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/console\/audit_logs/);
  check("and opened by a key", true);
  visitor.expectNoProblems();
}
