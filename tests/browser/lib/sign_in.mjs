// Signing in and out, as people do.
import { check } from "./checks.mjs";

/** Opens a sign-in link and presses its button. */
export async function signIn(visitor, link) {
  await visitor.page.goto(link);
  await visitor.page.locator("main form button[type=submit]").first().click();
  await visitor.page.waitForURL((url) => url.pathname.startsWith("/console"));
  check("the link signs in", true);
}
