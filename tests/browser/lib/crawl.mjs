// A walk over every page that links lead to.

/** Words that say nothing about the kind of a page: positions in a list, and values of filters. */
const IGNORED = ["after", "before", "page"];

/** Returns the kind of page that an address leads to: its path with `{id}` for ids, and the names of its parameters. */
export function kind(address) {
  const url = new URL(address);
  const segments = url.pathname.split("/").map((segment) => (/\d/.test(segment) ? "{id}" : segment));
  const names = [...new Set(url.searchParams.keys())].filter((name) => !IGNORED.includes(name)).sort();
  return segments.join("/") + (names.length > 0 ? `?${names.join("&")}` : "");
}

/**
 * Calls `visit` with one page of each kind below one of `roots`, in the order in which links lead to them. Links to files are
 * not followed. Returns the kinds.
 */
export async function crawl(visitor, start, roots, visit, limit = 400) {
  const seen = new Map([[kind(start), start]]);
  const queue = [start];
  while (queue.length > 0) {
    const address = queue.shift();
    const response = await visitor.page.goto(address);
    await visit(kind(address), response);
    const links = await visitor.page.locator("a[href]:not([download])").evaluateAll((all) => all.map((link) => link.href.split("#")[0]));
    for (const link of links) {
      const url = new URL(link);
      const isInside = url.origin === new URL(start).origin && roots.some((root) => url.pathname === root || url.pathname.startsWith(`${root}/`));
      if (!isInside || url.searchParams.has("format") || seen.has(kind(link))) continue;
      seen.set(kind(link), link);
      queue.push(link);
      if (seen.size > limit) throw new Error(`more than ${limit} kinds of pages: ${[...seen.keys()].slice(-10).join(" ")}`);
    }
  }
  return [...seen.keys()];
}
