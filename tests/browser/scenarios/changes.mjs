// Everything that has a form is created, changed and deleted through it, with and without scripts. What the API refuses is
// said beside the field, and what was typed stays.
import { check, contains, equal, report } from "../lib/checks.mjs";
import { signIn } from "../lib/sign_in.mjs";

/** Things with a form: fields to create one, fields to change, the name that the list shows. */
function things(project) {
  const inProject = `/console/projects/${project}`;
  return [
    { list: "/console/groups", create: { name: "Analysts" }, change: { name: "Analysts and friends" } },
    { list: "/console/roles", create: { role_name: "Auditor", permissions: ["api.organization.audit_logs.read"] }, change: { role_name: "Auditor of all" } },
    { list: "/console/invites", create: { email: "new@acme.example", role: "reader" } },
    { list: "/console/admin_api_keys", create: { name: "Automation" }, secret: true },
    { list: "/console/projects", create: { name: "Crawler" }, change: { name: "Crawler of docs" }, end: "archive" },
    { list: `${inProject}/service_accounts`, create: { name: "Ranker" }, change: { name: "Ranker of results" }, secret: true },
  ];
}

export async function run(browser, { base, token, project_id: project }) {
  const visitor = await browser.visitor({ base });
  await signIn(visitor, token);
  for (const thing of things(project)) await lives(visitor, thing);
  await settings(visitor, project);
  await memberships(visitor, project);
  await limits(visitor, project);
  await ownKey(visitor);
  await refusals(visitor);
  visitor.expectNoProblems();
  const plain = await browser.visitor({ base, javaScript: false });
  await signIn(plain, token);
  await lives(plain, { list: "/console/groups", create: { name: "No scripts" }, change: { name: "Still no scripts" } });
  plain.expectNoProblems();
}

/** Fills fields by the names that the API has for them. */
async function fill(page, fields) {
  for (const [name, value] of Object.entries(fields)) {
    const field = page.locator(`main form [name="${name}"]`);
    const kind = await field.first().evaluate((element) => element.type ?? element.localName);
    if (Array.isArray(value)) {
      for (const one of value) await page.locator(`main form [name="${name}"][value="${one}"]`).check();
    } else if (kind === "select-one") await field.selectOption(value);
    else if (kind === "radio") await page.locator(`main form [name="${name}"][value="${value}"]`).check();
    else await field.first().fill(value);
  }
}

async function submit(page) {
  await page.locator("main form[method=post] button.primary").first().click();
  await page.waitForLoadState();
}

async function lives(visitor, { list, create, change, secret = false, end = "delete" }) {
  const { page } = visitor;
  const name = create.name ?? create.role_name ?? create.email;
  await visitor.open(list);
  await page.locator(`main a[href="${list}/new"]`).first().click();
  await fill(page, create);
  await submit(page);
  if (secret) {
    check(`${name}: the key is shown once`, (await page.locator("#secret").innerText()).startsWith("sk-"));
    await page.getByRole("link", { name: "I have copied it" }).click();
  }
  await visitor.open(list);
  const item = page.locator("main tbody a", { hasText: name }).first();
  check(`${name}: is in the list`, (await item.count()) === 1);
  await item.click();
  await page.waitForLoadState();
  const address = new URL(page.url()).pathname;
  let shown = name;
  if (change) {
    await page.locator(`main a[href="${address}/edit"]`).first().click();
    await fill(page, change);
    await submit(page);
    shown = change.name ?? change.role_name;
    await visitor.open(address);
    contains(`${name}: has the new name`, await page.locator("h1").innerText(), shown);
  }
  await page.locator(`main a[href="${address}/${end}"]`).first().click();
  check(`${name}: the consequences are said before the end`, (await page.locator("main .consequences li").count()) > 0);
  await submit(page);
  await visitor.open(list);
  const row = page.locator("main tbody tr", { hasText: shown });
  const left = await row.count();
  check(`${name}: is gone`, left === 0 || (end === "archive" && (await row.innerText()).includes("Archived")), left);
  report({ lived: list });
}

/** Settings have one form each: what is saved is shown again. */
async function settings(visitor, project) {
  const { page } = visitor;
  await visitor.open("/console/spend_limit");
  await fill(page, { threshold_amount: "123.45" });
  await submit(page);
  await visitor.open("/console/spend_limit");
  equal("a setting is shown as it was saved", await page.locator('[name="threshold_amount"]').inputValue(), "123.45");
  await visitor.open("/console/spend");
  contains("and has effect on other screens", await visitor.text(), "$123.45");
  await visitor.open(`/console/projects/${project}/spend_limit`);
  await fill(page, { threshold_amount: "5" });
  await submit(page);
  await visitor.open("/console/spend");
  contains("a project has a limit of its own", await visitor.text(), "$5.00");
}

/** Chooses an option of a field that searches on the server. */
async function pick(page, name, words) {
  const field = page.locator(".field", { has: page.locator(`[name="${name}"]`) });
  await field.getByRole("combobox").fill(words);
  const option = field.getByRole("option", { name: words }).first();
  await option.waitFor();
  await option.click();
}

/** People are added to a group and to a project by a search on the server, and taken out again. */
async function memberships(visitor, project) {
  const { page } = visitor;
  await visitor.open("/console/groups/new");
  await fill(page, { name: "Searchers" });
  await submit(page);
  const group = new URL(page.url()).pathname;
  await visitor.open(`${group}/users/new`);
  await pick(page, "user_id", "ada");
  await submit(page);
  await visitor.open(`${group}/users`);
  contains("a member of a group is listed", await visitor.text(), "ada@acme.example");
  await page.locator("main tbody a", { hasText: /remove/i }).first().click();
  await submit(page);
  await visitor.open(`${group}/users`);
  contains("and can be removed", await visitor.text(), "Nobody is in the group");
  await visitor.open(`/console/projects/${project}/users/new`);
  await pick(page, "user_id", "rita");
  await fill(page, { role: "member" });
  await submit(page);
  await visitor.open(`/console/projects/${project}/users`);
  check("a person is in the project", (await page.locator("main tbody tr").count()) > 0);
}

/** Limits and policies of a project are changed, and the change is in the audit log with the person who made it. */
async function limits(visitor, project) {
  const { page } = visitor;
  await visitor.open(`/console/projects/${project}/rate_limits`);
  await page.locator("main tbody a[href$='/edit']").first().click();
  await fill(page, { max_requests_per_1_minute: "7" });
  await submit(page);
  await visitor.open(`/console/projects/${project}/rate_limits`);
  contains("a rate limit has its new value", await visitor.text(), "7");
  await visitor.open(`/console/projects/${project}/data_retention`);
  await fill(page, { retention_type: "zero_data_retention" });
  await submit(page);
  await visitor.open("/console/audit_logs");
  const first = page.locator("main .table > table > tbody > tr").first();
  contains("the log has the last change", await first.innerText(), "data retention");
  contains("with the person", await first.innerText(), "ada@acme.example");
  contains("who made it in the console", await first.innerText(), "in the console");
}

/** Everyone makes keys for themselves, in their projects. */
async function ownKey(visitor) {
  const { page } = visitor;
  await visitor.open("/console/me/api_keys/new");
  await fill(page, { name: "My laptop" });
  await pick(page, "project_id", "Search");
  await submit(page);
  check("one's own key is shown once", (await page.locator("#secret").innerText()).startsWith("sk-"));
  await visitor.open("/console/me/api_keys");
  contains("and is in the list", await visitor.text(), "My laptop");
}

async function refusals(visitor) {
  const { page } = visitor;
  await visitor.open("/console/invites/new");
  await fill(page, { email: "ada@acme.example", role: "reader" });
  await submit(page);
  contains("a refusal is said", await visitor.text(), "already exists");
  equal("beside its field", await page.locator('[name="email"]').getAttribute("aria-invalid"), "true");
  equal("and what was typed stays", await page.locator('[name="email"]').inputValue(), "ada@acme.example");
  await visitor.expectAccessible();
}
