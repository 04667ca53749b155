// People of another organization, signed in, at every address of the first organization: pages, forms, files, and what scripts
// of pages ask for. Nothing of the first organization is found or changed.
import { check, equal, report } from "../lib/checks.mjs";
import { crawl } from "../lib/crawl.mjs";
import { signIn } from "../lib/sign_in.mjs";

const ROOTS = ["/console"];
/** Statuses of what does not exist for somebody, or is not allowed. */
const REFUSED = [403, 404];
/** What scripts of pages ask for: kinds of pickers. */
const PICKERS = ["users", "groups", "roles", "project_roles", "projects", "my_projects", "certificates", "api_keys"];

/** `others` are tokens of sessions by role; `names` are texts that only pages of the first organization have. */
export async function run(browser, { base, token, project_id: project, others, names }) {
  const visitor = await browser.visitor({ base });
  await signIn(visitor, token);
  const { addresses, forms, text } = await everything(visitor, base);
  check("the owner has pages and forms", addresses.length > 30 && forms.length > 20, [addresses.length, forms.length]);
  equal("whose texts have the names", names.filter((name) => !text.includes(name)), []);
  check("and whose addresses have the ids", addresses.some((address) => address.includes(project)), addresses);
  addresses.push(...PICKERS.map((kind) => `/console/pick?kind=${kind}&q=&project_id=${project}`));
  addresses.push(...files(addresses), "/console/search?q=a", `/console/usage/completions?range=90d&project_ids=${project}`);
  let tried = 0;
  for (const [role, session] of Object.entries(others)) {
    const stranger = await browser.visitor({ base });
    await signIn(stranger, session);
    await itIsSomebodyElse(stranger, role, names);
    for (const address of addresses) await findsNothing(stranger, role, address, names);
    for (const address of forms) await changesNothing(stranger, role, address, names);
    tried += addresses.length + forms.length;
    stranger.expectNoProblems();
  }
  await nothingHasChanged(visitor, addresses, names);
  report({ tried });
}

/** Returns the addresses of all kinds of pages of the owner, those that their forms are sent to, and all their text. */
async function everything(visitor, base) {
  const addresses = [];
  const forms = new Set();
  let text = "";
  await crawl(visitor, `${base}/console`, ROOTS, async () => {
    const url = new URL(visitor.page.url());
    addresses.push(url.pathname + url.search);
    text += await visitor.page.content();
    const actions = await visitor.page.locator("main form[method=post]").evaluateAll((all) => all.map((form) => form.action));
    for (const action of actions) forms.add(new URL(action).pathname);
  });
  return { addresses, forms: [...forms].filter(hasId), text };
}

/** True if an address names something by its id. Ids have digits, other words of addresses have none. */
function hasId(address) {
  return /\d/.test(new URL(address, "http://localhost").pathname);
}

function files(addresses) {
  return addresses.map((address) => `${address}${address.includes("?") ? "&" : "?"}format=csv`);
}

async function itIsSomebodyElse(stranger, role, names) {
  await stranger.open("/console/me");
  const text = await stranger.page.locator("body").innerText();
  check(`the ${role} of another organization is signed in`, text.includes("Other") && !names.some((name) => text.includes(name)), text);
}

async function findsNothing({ context, base }, role, address, names) {
  const response = await context.request.get(base + address, { maxRedirects: 0 });
  const status = response.status();
  if (hasId(address)) check(`${role}: ${address} does not exist`, REFUSED.includes(status), status);
  else check(`${role}: ${address} is answered`, status < 500, status);
  tellsNothing(role, address, await response.text(), names);
}

function tellsNothing(role, address, text, names) {
  const told = names.filter((name) => text.includes(name));
  equal(`${role}: ${address} tells nothing`, told, []);
}

async function changesNothing({ context, base }, role, address, names) {
  const headers = { "sec-fetch-site": "same-origin", origin: base };
  const form = { name: "Taken", role_name: "Taken", role: "owner", threshold_amount: "1", max_requests_per_1_minute: "1" };
  const response = await context.request.post(base + address, { form, headers, maxRedirects: 0 });
  // Who signed in long ago would be asked for another proof; these people have just signed in.
  check(`${role}: a form to ${address} is refused`, REFUSED.includes(response.status()), response.status());
  tellsNothing(role, address, await response.text(), names);
}

/** The owner still finds everything, by its name. */
async function nothingHasChanged(visitor, addresses, names) {
  for (const address of addresses.filter((one) => hasId(one) && !one.includes("format="))) {
    const response = await visitor.context.request.get(visitor.base + address);
    check(`${address} is still there`, response.status() === 200, response.status());
  }
  await visitor.open("/console/projects");
  const text = await visitor.text();
  check("no name has changed", text.includes(names[1]) && !text.includes("Taken"), text);
  await visitor.open("/console/audit_logs");
  check("and nothing is in the log", !(await visitor.text()).includes("Taken"));
}
