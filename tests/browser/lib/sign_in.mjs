// Signing in, as people do with a link, or with the token of a session that the test began.
import { check } from "./checks.mjs";

/** Name of the cookie with the token of a session on plain HTTP. */
const COOKIE = "orgplane";

/** Gives the visitor the cookie of a session. */
export async function signIn(visitor, token) {
  await visitor.context.addCookies([{ name: COOKIE, value: token, url: visitor.base, httpOnly: true, sameSite: "Lax" }]);
}

/** Opens a sign-in link and presses its button. */
export async function signInByLink(visitor, link) {
  await visitor.page.goto(link);
  await visitor.page.locator("main form button[type=submit], main form button:not([type])").first().click();
  await visitor.page.waitForURL((url) => url.pathname.startsWith("/console"));
  check("the link signs in", true);
}
