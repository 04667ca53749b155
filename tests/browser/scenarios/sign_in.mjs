// Sign-in as people do it: by a link, by a password, by an invitation, with and without scripts; and sign-out.
import { check, contains, equal } from "../lib/checks.mjs";

const PASSWORD = "correct horse battery";

export async function run(browser, { base, link, second_link: second, invitation }) {
  const visitor = await browser.visitor({ base });
  await byLink(visitor, link);
  await setPassword(visitor);
  await signOut(visitor);
  await byPassword(visitor);
  visitor.expectNoProblems();
  await linkWithoutScripts(await browser.visitor({ base, javaScript: false }), second);
  await byInvitation(await browser.visitor({ base }), invitation);
}

async function arrives(page) {
  await page.waitForURL((url) => url.pathname === "/console");
}

async function byLink(visitor, link) {
  const { page } = visitor;
  await visitor.open(link);
  await visitor.expectAccessible();
  await visitor.expectFits(390);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => ["/console", "/account/password"].includes(url.pathname));
  check("the token is not in the address any more", !page.url().includes("#"), page.url());
  const cookies = await visitor.context.cookies();
  const session = cookies.find(({ name }) => name === "orgplane");
  check("scripts cannot read the session", session.httpOnly && session.sameSite === "Lax", session);
  await visitor.open(link);
  check("whoever is signed in may use a link again only to be refused", true);
}

async function setPassword(visitor) {
  const { page } = visitor;
  await visitor.open("/account/password");
  await visitor.expectAccessible();
  await page.getByLabel(/password/i).first().fill("short");
  await page.getByRole("button", { name: /the password$/ }).first().click();
  await page.waitForLoadState();
  contains("a short password is refused", await visitor.text(), "12");
  await page.getByLabel(/password/i).first().fill(PASSWORD);
  await page.getByRole("button", { name: /the password$/ }).first().click();
  await page.waitForURL(/done=set/);
  check("a password can be set", true);
}

async function signOut(visitor) {
  const { page } = visitor;
  await visitor.open("/console/me");
  await page.locator("form[action='/sign-out'] button, a[href='/sign-out']").first().click();
  await page.waitForLoadState();
  if (new URL(page.url()).pathname === "/sign-out") {
    await page.getByRole("button").first().click();
    await page.waitForLoadState();
  }
  await page.goto("/console/costs");
  equal("after the sign-out the console asks to sign in", new URL(page.url()).pathname, "/sign-in");
}

async function byPassword(visitor) {
  const { page } = visitor;
  await visitor.expectAccessible();
  await page.getByLabel("E-mail address").fill("ada@acme.example");
  await page.getByLabel("Password").fill("wrong horse battery");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForLoadState();
  contains("a wrong password is refused", await visitor.text(), "password");
  equal("without a session", (await visitor.context.cookies()).filter(({ name, value }) => name === "orgplane" && value).length, 0);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => url.pathname === "/console/costs");
  check("the right one leads to the page that was asked for", true);
}

async function linkWithoutScripts({ page }, link) {
  await page.goto(link);
  await page.locator("[name=token]").fill(new URL(link).hash.slice(1));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => ["/console", "/account/password"].includes(url.pathname));
  check("the code of a link can be pasted without scripts", true);
}

async function byInvitation(visitor, invitation) {
  const { page } = visitor;
  await visitor.open(invitation);
  await visitor.expectAccessible();
  await page.getByLabel(/name/i).first().fill("Grace <b>Hopper</b>");
  await page.getByRole("button", { name: "Join" }).click();
  await page.waitForURL((url) => ["/console", "/account/password"].includes(url.pathname));
  await visitor.open("/console/me");
  contains("who accepts an invitation is signed in", await visitor.text(), "Grace <b>Hopper</b>");
  visitor.expectNoProblems();
}
