// The way of a new administrator, by what the screens say alone: a project with limits, a key that works, its usage, a refusal
// that is explained, and a colleague who joins. Pages are reached by the links that a person sees.
import { execFileSync } from "node:child_process";
import process from "node:process";

import { check, contains, equal, eventually } from "../lib/checks.mjs";
import { signInByLink } from "../lib/sign_in.mjs";

const PROJECT = "Newsletter";
const COLLEAGUE = { name: "Noor Khan", email: "noor@acme.example" };
/** Requests a minute that the project may make. */
const ALLOWED = 2;

export async function run(browser, { link }) {
  const base = new URL(link).origin;
  const admin = await browser.visitor({ base });
  await signInByLink(admin, link);
  await createsAProject(admin);
  const model = await setsLimits(admin);
  const command = await createsAKey(admin, model);
  callsTheModel(command);
  await seesTheUsage(admin);
  await findsTheRefusal(admin);
  const invitation = await invites(admin);
  admin.expectNoProblems();
  await joins(await browser.visitor({ base }), invitation);
}

/** Follows the link of the navigation with this text. */
async function goTo({ page }, name) {
  await page.locator("#navigation").getByRole("link", { name, exact: true }).click();
  await page.waitForLoadState();
}

/** Presses the button or the link of the page with this text. */
async function press({ page }, name) {
  const main = page.locator("main");
  await main.getByRole("button", { name, exact: true }).or(main.getByRole("link", { name, exact: true })).first().click();
  await page.waitForLoadState();
}

/** Goes to the page of the project, from anywhere. */
async function goToProject(admin) {
  const { page } = admin;
  await page.goto("/console");
  await goTo(admin, "Projects");
  await page.getByRole("searchbox").fill(PROJECT);
  await press(admin, "Show");
  await press(admin, PROJECT);
}

async function createsAProject(admin) {
  const { page } = admin;
  await goTo(admin, "Projects");
  await press(admin, "Create project");
  await page.getByLabel("Name").fill(PROJECT);
  await press(admin, "Create");
  equal("the new project is shown", await page.locator("h1").innerText(), PROJECT);
}

/** Sets a limit of money and one of requests; returns the model that is limited. */
async function setsLimits(admin) {
  const { page } = admin;
  await goTo(admin, "Spend limit");
  contains("it is said what holds without a limit", await admin.text(), "No limit is set");
  await page.getByLabel("Amount a month").fill("25");
  await press(admin, "Save");
  contains("the limit is shown beside the spend", await admin.text(), "$25.00");
  await goTo(admin, "Rate limits");
  const served = page.locator("main p", { hasText: "that this gateway serves" }).getByRole("link").first();
  const model = await served.innerText();
  await served.click();
  await page.getByLabel("Requests a minute").fill(String(ALLOWED));
  await press(admin, "Save");
  await page.getByRole("searchbox").fill(model);
  await press(admin, "Show");
  const row = page.locator("main tbody tr").filter({ has: page.locator("th", { hasText: model }) }).first();
  equal("the model has the limit", await row.locator("td").first().innerText(), String(ALLOWED));
  return model;
}

/** Creates a key, and returns the command beside it. */
async function createsAKey(admin, model) {
  const { page } = admin;
  await goTo(admin, "API keys");
  await press(admin, "Create API key");
  await page.getByLabel("Name").fill("Weekly letter");
  await press(admin, "Create");
  const secret = await page.locator("#secret").innerText();
  const command = await page.locator("#sample").innerText();
  contains("the command has the key", command, secret);
  contains("and a model of this gateway", command, model);
  await press(admin, "I have copied it");
  contains("the key is in the list", await admin.text(), "Weekly letter");
  return command;
}

/** Types the command into a shell until the limit is reached. */
function callsTheModel(command) {
  const type = () => {
    const env = { ...process.env, NO_PROXY: "*" };
    return JSON.parse(execFileSync("sh", ["-c", command], { env, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  };
  for (let call = 0; call < ALLOWED; call += 1) {
    const answer = type();
    check("the key works as the page says", typeof answer.choices?.[0]?.message?.content === "string", answer);
  }
  const { error } = type();
  equal("the request beyond the limit is refused", error?.code, "rate_limit_exceeded");
}

/** Loads the page again until it shows something. */
async function shows(admin, sentence, parts) {
  await eventually(sentence, async () => {
    await admin.page.reload();
    const text = await admin.text();
    return parts.every((part) => text.includes(part));
  });
}

async function seesTheUsage(admin) {
  const { page } = admin;
  await goToProject(admin);
  await goTo(admin, "Usage");
  await shows(admin, "the usage of the project is on the screen", [PROJECT, "Requests"]);
  await eventually("with both requests", async () => {
    await page.reload();
    const tile = page.locator(".tile", { hasText: "Requests" });
    return (await tile.count()) > 0 && (await tile.first().innerText()).endsWith(String(ALLOWED));
  });
  await page.getByRole("navigation", { name: "Trail" }).getByRole("link", { name: PROJECT }).click();
  await page.waitForLoadState();
  await shows(admin, "the page of the project has the money", ["Spent", "$25.00"]);
}

async function findsTheRefusal(admin) {
  await goToProject(admin);
  await shows(admin, "the page of the project says what was refused", ["Rate limit reached"]);
  await goTo(admin, "Refused requests");
  contains("the refusal is explained", await admin.text(), "A model was used as often as the project may use it");
  await admin.page.locator("main").getByRole("link", { name: "Rate limits" }).first().click();
  await admin.page.waitForLoadState();
  contains("and the limit is where the explanation leads", await admin.text(), "Requests a minute");
}

/** Invites a colleague, and returns the link to hand over: the demo sends no mail. */
async function invites(admin) {
  const { page } = admin;
  await page.goto("/console");
  await goTo(admin, "Invitations");
  await press(admin, "Send invitation");
  contains("it is said that no mail is sent", await admin.text(), "no mail is sent");
  await page.getByLabel("E-mail address").fill(COLLEAGUE.email);
  await press(admin, "Send");
  const link = await page.locator("#secret").innerText();
  check("the link is shown to be handed over", link.startsWith(admin.base), link);
  return link;
}

async function joins(colleague, invitation) {
  const { page } = colleague;
  await page.goto(invitation);
  await page.getByLabel("Your name").fill(COLLEAGUE.name);
  await press(colleague, "Join");
  await colleague.open("/console");
  contains("the colleague is signed in", await page.locator("header.bar").innerText(), COLLEAGUE.name);
  colleague.expectNoProblems();
}
