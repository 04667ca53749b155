// Sign-in with an identity provider of others, in a browser: the first sign-in, another proof of identity, a linked account,
// an invitation, sign-out at both, and a refusal.
import { check, contains, equal } from "../lib/checks.mjs";

/** Opens a visitor to whom everything elsewhere is out of reach, such as the fonts of the provider's pages. */
async function visitorOf(browser, base) {
  const visitor = await browser.visitor({ base });
  const isElsewhere = (url) => url.hostname !== "127.0.0.1";
  await visitor.context.route(isElsewhere, (route) => route.abort("aborted"));
  return visitor;
}

/** Signs in at the provider, and agrees. */
async function signInThere({ page }, login, base) {
  await page.waitForURL((url) => url.origin !== base);
  await page.fill("input[name=login]", login);
  await page.fill("input[name=password]", "any");
  await page.click("button[type=submit]");
  const isBack = () => new URL(page.url()).origin === base;
  for (let step = 0; step < 3 && !isBack(); step += 1) {
    await page.waitForLoadState();
    if (!isBack()) await page.click("button[type=submit]");
  }
  await page.waitForURL((url) => url.origin === base);
}

/** Returns the path and the query of the page. */
function place({ page }) {
  const { pathname, search } = new URL(page.url());
  return pathname + search;
}

export async function run(browser, { base, owner, reader, readerLink, invitation }) {
  const ada = await visitorOf(browser, base);
  await ada.open("/sign-in");
  await ada.expectAccessible();
  await ada.page.click("text=Continue with");
  await signInThere(ada, owner, base);
  check("the provider signs the owner in", place(ada).startsWith("/console"), place(ada));
  const cookies = await ada.context.cookies(base);
  const session = cookies.find(({ name }) => name === "orgplane");
  equal("scripts cannot read the session", [session.httpOnly, session.sameSite], [true, "Lax"]);
  check("the state of the sign-in is gone", !cookies.some(({ name }) => name === "orgplane-provider"));

  await ada.open("/sign-in/again?target=/account/providers");
  await ada.expectAccessible();
  await ada.page.click("text=Confirm with");
  await signInThere(ada, owner, base);
  equal("another proof leads on", place(ada), "/account/providers");
  contains("the linked account is shown", await ada.text(), owner);
  await ada.expectAccessible();

  await ada.open("/sign-out");
  await ada.page.click("main button[type=submit]");
  contains("the session at the provider is mentioned", await ada.text(), "still signed in at");
  await ada.expectAccessible();
  await ada.page.click("main a.primary");
  await ada.page.click("button[name=logout]");
  await ada.page.waitForURL((url) => url.pathname === "/sign-in");
  contains("both sessions have ended", await ada.text(), "You are signed out.");
  ada.expectNoProblems();

  const grace = await visitorOf(browser, base);
  await grace.open(readerLink);
  await grace.page.click("main form button[type=submit]");
  await grace.page.waitForURL((url) => url.pathname !== "/sign-in/link");
  await grace.open("/account/providers");
  await grace.page.click("text=Link an account at");
  await signInThere(grace, "private@elsewhere.example", base);
  equal("the account is linked", place(grace), "/account/providers?done=linked");
  contains("its address is shown", await grace.text(), "private@elsewhere.example");
  grace.expectNoProblems();
  const again = await visitorOf(browser, base);
  await again.open("/sign-in?target=/account/providers");
  await again.page.click("text=Continue with");
  await signInThere(again, "private@elsewhere.example", base);
  equal("the linked account signs in", place(again), "/account/providers");
  contains("and the user is that of the link", await (await again.context.request.get("/console/me")).text(), reader);

  const guest = await visitorOf(browser, base);
  await guest.open(invitation);
  await guest.page.click("text=Join with");
  await signInThere(guest, "guest@elsewhere.example", base);
  check("the invitation is accepted", place(guest).startsWith("/console"), place(guest));
  guest.expectNoProblems();

  const mallory = await visitorOf(browser, base);
  await mallory.open("/sign-in");
  await mallory.page.click("text=Continue with");
  await signInThere(mallory, `unverified-${owner}`, base);
  contains("an address that was not verified is refused", await mallory.text(), "email_not_verified");
  await mallory.expectAccessible();
  mallory.expectNoProblems();
}
