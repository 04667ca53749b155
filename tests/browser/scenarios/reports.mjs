// Usage and costs: period, grouping, chart, comparison, rows, files. The figures are those of the API.
import { check, contains, equal, eventually } from "../lib/checks.mjs";
import { signIn } from "../lib/sign_in.mjs";

export async function run(browser, { base, token, models, requests, dollars }) {
  const visitor = await browser.visitor({ base });
  await signIn(visitor, token);
  await usage(visitor, models, requests);
  await files(visitor);
  await rows(visitor);
  await costs(visitor, dollars);
  await badAddresses(visitor);
  visitor.expectNoProblems();
  await withoutScripts(browser, visitor, models);
}

async function usage(visitor, models, requests) {
  const { page } = visitor;
  await visitor.open("/console/usage/completions?range=7d&group=model");
  await page.locator(".chart-plot canvas").waitFor();
  contains("the sum is that of the ledger", await page.locator(".tile").first().innerText(), requests);
  for (const model of models) contains("each model is a series", await page.locator(".chart-legend").innerText(), model);
  equal("a week has seven rows", await page.locator("#by-bucket tbody tr").count(), 7);
  await page.locator(".chart-plot").focus();
  await page.keyboard.press("End");
  await eventually("the chart shows today's figures", async () => (await page.locator(".chart-tooltip").innerText()).includes(models[0]));
  await visitor.expectAccessible();

  await page.getByLabel("Group by").selectOption("project_id");
  await page.getByLabel("Compare with the period before").check();
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/group=project_id/);
  check("the address holds the state", /compare=1/.test(page.url()), page.url());
  check("the period before is a column", (await page.locator("#by-bucket thead").innerText()).includes("Period before"));

  await page.getByRole("link", { name: "Only this" }).first().click();
  await page.waitForURL(/project_ids=/);
  equal("a group can be looked at alone", await page.getByRole("list", { name: "Filters" }).locator("li").count(), 1);
  await page.getByRole("link", { name: /^Remove the filter/ }).click();
  await page.waitForURL((url) => !url.search.includes("project_ids"));
}

async function files({ page }) {
  for (const [name, start] of [["CSV", "start_time,end_time,"], ["Parquet", "PAR1"]]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name, exact: true }).click()]);
    const stream = await download.createReadStream();
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    check(`a file of ${name} has the figures`, Buffer.concat(chunks).toString("latin1").startsWith(start));
  }
}

async function rows(visitor) {
  const { page } = visitor;
  await page.getByRole("link", { name: "Rows", exact: true }).first().click();
  await page.waitForURL(/\/console\/usage\/events/);
  check("a group leads to its rows of the ledger", (await page.locator("tbody tr").count()) > 0);
  await visitor.expectAccessible();
}

async function costs(visitor, dollars) {
  const { page } = visitor;
  await visitor.open("/console/costs?range=30d");
  contains("the sum of the costs is that of the ledger", await page.locator(".tile").first().innerText(), dollars);
  await visitor.expectAccessible();
}

async function badAddresses(visitor) {
  for (const query of ["range=custom&from=x&to=y", "range=custom&from=1999-01-01T00:00&to=2026-01-01T00:00", "group=nope&metric=nope&bucket=9z"]) {
    await visitor.open(`/console/usage/completions?${query}`);
  }
  check("what cannot be shown is said", (await visitor.page.locator("main").innerText()).length > 0);
  await visitor.open("/console/usage/nope", 404);
}

/** Signs in with the cookies of the visitor, but without scripts. */
async function withoutScripts(browser, visitor, models) {
  const plain = await browser.visitor({ base: new URL(visitor.page.url()).origin, javaScript: false });
  await plain.context.addCookies(await visitor.context.cookies());
  await plain.open("/console/usage/completions?range=7d&group=model");
  check("without scripts the figure is hidden", await plain.page.locator("figure.chart").isHidden());
  for (const model of models) contains("and the table has every series", await plain.page.locator("#by-bucket").innerText(), model);
  await plain.page.getByLabel("Period", { exact: true }).selectOption("24h");
  await plain.page.getByRole("button", { name: "Show" }).click();
  await plain.page.waitForURL(/range=24h/);
  equal("a form works without scripts", await plain.page.locator("#by-bucket tbody tr").count(), 24);
}
