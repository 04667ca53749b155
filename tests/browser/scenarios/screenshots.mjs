// Pictures of every screen that links lead to, in both themes and all widths, with an index of them.
import { writeFileSync } from "node:fs";
import path from "node:path";

import { WIDTHS } from "../lib/browser.mjs";
import { report } from "../lib/checks.mjs";
import { crawl } from "../lib/crawl.mjs";
import { signIn, signInByLink } from "../lib/sign_in.mjs";

/** Paths that have screens. */
const ROOTS = ["/console", "/account"];
/** Screens before the sign-in. */
const OUTSIDE = ["/sign-in", "/sign-in/link", "/sign-in/forgot", "/invites/accept", "/no-such-page"];
/** States of screens that no link leads to: names, and what leads there. */
const STATES = [
  ["search dialog", async ({ page }) => {
    await page.goto("/console");
    await page.keyboard.press("Control+k");
    await page.keyboard.type("se");
    await page.locator("dialog[open] [role=option]").first().waitFor();
  }],
  ["refused form", async ({ page }) => {
    await page.goto("/console/users");
    const taken = await page.locator("main tbody th .sub").first().innerText();
    await page.goto("/console/invites/new");
    await page.locator("[name=email]").fill(taken);
    await page.locator("main form[method=post] button.primary").click();
    await page.waitForLoadState();
  }],
  ["new key", async ({ page }) => {
    await page.goto("/console/admin_api_keys/new");
    await page.locator("[name=name]").fill("Screenshots");
    await page.locator("main form[method=post] button.primary").click();
    await page.locator("#secret").waitFor();
  }],
  ["missing page", ({ page }) => page.goto("/console/no-such-page")],
  ["another proof", ({ page }) => page.goto("/sign-in/again?target=/console/users")],
];

/** Signs in with a link, or with the token of a session at `base`. */
export async function run(browser, { link, token, base = new URL(link).origin, out, only = "" }) {
  const visitor = await browser.visitor({ base });
  const shots = [];
  const shoot = async (kind) => {
    if (!kind.includes(only)) return;
    const name = kind.replaceAll(/[^A-Za-z0-9]+/g, "-").replaceAll(/^-|-$/g, "") || "root";
    shots.push([kind, await visitor.photograph(out, name)]);
    report({ screen: kind });
  };
  for (const target of OUTSIDE) {
    await visitor.page.goto(target);
    await shoot(target);
  }
  await (link ? signInByLink(visitor, link) : signIn(visitor, token));
  await crawl(visitor, `${base}/console`, ROOTS, shoot);
  for (const [name, lead] of STATES.filter(([name]) => name.includes(only))) {
    await lead(visitor);
    await shoot(name);
  }
  if ("navigation".includes(only)) await shootNavigation(visitor, shoot);
  writeFileSync(path.join(out, "index.html"), index(shots));
}

/** Takes pictures of the navigation as narrow windows have it. */
async function shootNavigation({ page }, shoot) {
  await page.goto("/console");
  await page.setViewportSize({ width: Math.min(...WIDTHS), height: 900 });
  await page.getByRole("button", { name: "Navigation" }).click();
  await shoot("navigation");
}

function index(shots) {
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
  const picture = (file) => `<a href="${file}"><img loading="lazy" alt="${file}" src="${file}"></a>`;
  const rows = shots.map(([kind, files]) => `<h2>${escaped(kind)}</h2><p>${files.map(picture).join(" ")}</p>`);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Screens</title>
<style>body { font: 14px system-ui; margin: 1rem } img { border: 1px solid #888; height: 360px; vertical-align: top }</style>
<h1>${shots.length} screens</h1>
${rows.join("\n")}
</html>
`;
}
