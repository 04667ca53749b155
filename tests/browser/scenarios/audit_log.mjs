// The audit log: sentences, differences, filters in the address, proof, files.
import { check, contains, equal } from "../lib/checks.mjs";
import { signIn } from "../lib/sign_in.mjs";

export async function run(browser, { base, token, project, renamed }) {
  const visitor = await browser.visitor({ base });
  await signIn(visitor, token);
  const { page } = visitor;
  await visitor.open("/console/audit_logs");
  contains("the log is verified", await visitor.text(), "Verified.");
  contains("an entry is a sentence", await visitor.text(), `changed the project ${renamed}`);
  const row = page.locator("tbody tr").filter({ hasText: `changed the project ${renamed}` }).first();
  await row.locator("summary").click();
  contains("a change says the value before", await row.locator("del").first().innerText(), project);
  contains("and after", await row.locator("ins").first().innerText(), renamed);
  await visitor.expectAccessible();

  await page.locator("details > summary", { hasText: "Filters" }).click();
  await page.getByLabel("Target").fill("proj_nothing");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/resource_ids=proj_nothing/);
  contains("a filter without entries says so", await visitor.text(), "No entry passes these filters");
  await page.getByRole("link", { name: "Remove all filters" }).click();
  await visitor.open("/console/audit_logs?event_types=project.updated");
  const types = await page.locator("main .table > table > tbody > tr").count();
  check("an address is a saved filter", types > 0, types);
  for (const [name, start] of [["CSV", "id,effective_at,type"], ["NDJSON", "{"]]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name, exact: true }).click()]);
    const chunks = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    check(`a file of ${name} begins as it should`, text.startsWith(start), text.slice(0, 80));
    equal(`and has the filtered entries (${name})`, text.trim().split("\n").length, types + (name === "CSV" ? 1 : 0));
  }
  visitor.expectNoProblems();
}
