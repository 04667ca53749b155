// Behaviour of pages: everything here is a convenience on top of links and forms that work without it.

const status = (text, isQuiet = false) => {
  const region = document.getElementById("status");
  if (!region) return;
  region.classList.toggle("quiet", isQuiet);
  region.textContent = text;
  clearTimeout(status.timer);
  status.timer = setTimeout(() => { region.textContent = ""; }, 4000);
};

// A button with `data-copy` copies the text of the element whose id it names.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const text = source ? source.value ?? source.textContent : "";
  try {
    await navigator.clipboard.writeText(text);
    status("Copied");
  } catch {
    // Without https there is no clipboard: select the text, so that it can be copied by hand.
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    status("Selected: press Ctrl+C or Cmd+C");
  }
});
for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = false;

// A field with `data-fragment` takes the fragment of the address, which then leaves the address and the history.
for (const field of document.querySelectorAll("input[data-fragment]")) {
  const fragment = location.hash.slice(1);
  if (!fragment) continue;
  field.value = decodeURIComponent(fragment);
  history.replaceState(null, "", location.pathname + location.search);
  for (const part of field.form?.querySelectorAll("[data-without-fragment]") ?? []) part.hidden = true;
}

// A form with `data-auto` is sent when one of its lists changes.
for (const form of document.querySelectorAll("form[data-auto]")) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("select, input[type=checkbox], input[type=radio], input[type=date]")) form.requestSubmit();
  });
}

// A form with `data-guard` asks before its changes are left behind.
for (const form of document.querySelectorAll("form[data-guard]")) {
  let isChanged = false;
  form.addEventListener("input", () => { isChanged = true; });
  form.addEventListener("submit", () => { isChanged = false; });
  addEventListener("beforeunload", (event) => { if (isChanged) event.preventDefault(); });
}

// A field with `data-narrow` hides the elements with `data-words` in the element whose id it names, unless they contain its words.
for (const field of document.querySelectorAll("input[data-narrow]")) {
  const target = document.getElementById(field.dataset.narrow);
  field.closest("[hidden]")?.removeAttribute("hidden");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const part of target.querySelectorAll("[data-words]")) {
      const text = part.dataset.words.toLowerCase();
      part.hidden = !words.every((word) => text.includes(word));
    }
    for (const group of target.querySelectorAll("[data-words-group]")) {
      group.hidden = !group.querySelector("[data-words]:not([hidden])");
    }
  });
}

// Searches on the server, the latest word only.
const searcher = (render) => {
  let controller;
  let timer;
  return (address) => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      controller?.abort();
      controller = new AbortController();
      try {
        const response = await fetch(address, { signal: controller.signal, headers: { accept: "application/json" } });
        if (response.ok) render(await response.json());
        else render({ items: [], message: response.status === 401 ? "You are signed out: reload the page." : "The search failed." });
      } catch (error) {
        if (error.name !== "AbortError") render({ items: [], message: "The server cannot be reached." });
      }
    }, 120);
  };
};

let count = 0;

// A list of options below a text field, operated as the pattern "combobox" of WAI-ARIA says.
const listbox = (input, list, choose) => {
  list.id ||= `options-${++count}`;
  list.setAttribute("role", "listbox");
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", list.id);
  input.setAttribute("aria-expanded", "false");
  let active = -1;
  const options = () => [...list.querySelectorAll("[role=option]")];
  const mark = (index) => {
    active = index;
    options().forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    const option = options()[index];
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };
  const open = (isOpen) => {
    list.hidden = !isOpen;
    input.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) mark(-1);
  };
  input.addEventListener("keydown", (event) => {
    const total = options().length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) input.dispatchEvent(new Event("input"));
      else if (total) mark((active + (event.key === "ArrowDown" ? 1 : total - (active < 0 ? 0 : 1))) % total);
    } else if (event.key === "Enter" && !list.hidden && active >= 0) {
      event.preventDefault();
      choose(options()[active]);
    } else if (event.key === "Escape" && !list.hidden && list.dataset.stays === undefined) {
      event.preventDefault();
      event.stopPropagation();
      open(false);
    }
  });
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) choose(option);
  });
  const show = (items, message) => {
    list.replaceChildren(...items.map((item, index) => {
      const option = document.createElement("li");
      option.id = `${list.id}-${index}`;
      option.setAttribute("role", "option");
      option.dataset.value = item.value;
      const label = document.createElement("bdi");
      label.textContent = item.label;
      option.append(label);
      if (item.detail) {
        const detail = document.createElement("small");
        detail.textContent = item.detail;
        option.append(detail);
      }
      return option;
    }));
    if (!items.length) {
      const none = document.createElement("li");
      none.className = "empty-option";
      none.setAttribute("role", "presentation");
      none.textContent = message || "Nothing found.";
      list.append(none);
    }
    open(true);
    mark(items.length ? 0 : -1);
    status(items.length ? `${items.length} found` : "Nothing found", true);
  };
  return { open, show };
};

// A list with `data-picker` becomes a field that searches on the server.
for (const select of document.querySelectorAll("select[data-picker]")) {
  const isMultiple = select.multiple;
  const box = document.createElement("div");
  box.className = "combobox";
  const input = document.createElement("input");
  input.type = "text";
  input.autocomplete = "off";
  input.spellcheck = false;
  input.disabled = select.disabled;
  input.placeholder = "Search";
  const list = document.createElement("ul");
  list.hidden = true;
  const chips = document.createElement("div");
  chips.className = "chips";
  // The list stays in the form and holds the value; the field takes its label.
  input.id = select.id;
  select.removeAttribute("id");
  for (const name of ["aria-describedby", "aria-invalid"]) {
    if (select.hasAttribute(name)) input.setAttribute(name, select.getAttribute(name));
  }
  const isRequired = select.required;
  select.required = false;
  input.required = isRequired && !select.value;
  select.hidden = true;
  select.nextElementSibling?.matches(".picker-id") && select.nextElementSibling.remove();
  select.after(box);
  box.append(chips, input, list);
  const label = document.querySelector(`label[for="${CSS.escape(input.id)}"]`)?.firstChild?.textContent?.trim();
  list.setAttribute("aria-label", label || "Options");

  const chosen = () => [...select.selectedOptions].filter((option) => option.value);
  const paint = () => {
    input.required = isRequired && !chosen().length;
    if (!isMultiple) {
      input.value = chosen()[0]?.textContent.trim() ?? "";
      return;
    }
    chips.replaceChildren(...chosen().map((option) => {
      const chip = document.createElement("span");
      chip.className = "chip";
      const name = document.createElement("bdi");
      name.textContent = option.textContent.trim();
      const remove = document.createElement("button");
      remove.type = "button";
      remove.textContent = "×";
      remove.setAttribute("aria-label", `Remove ${name.textContent}`);
      remove.addEventListener("click", () => {
        option.selected = false;
        paint();
        input.focus();
        select.dispatchEvent(new Event("input", { bubbles: true }));
      });
      chip.append(name, remove);
      return chip;
    }));
  };
  const choose = (option) => {
    const known = [...select.options].find((own) => own.value === option.dataset.value);
    const own = known ?? new Option(option.firstChild.textContent, option.dataset.value);
    if (!known) select.append(own);
    if (isMultiple) input.value = "";
    own.selected = true;
    paint();
    box_list.open(false);
    select.dispatchEvent(new Event("input", { bubbles: true }));
    select.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const box_list = listbox(input, list, choose);
  const search = searcher(({ items, message }) => {
    if (document.activeElement === input) box_list.show(items, message);
  });
  const find = (text) => {
    const address = new URL(select.dataset.picker, location.href);
    address.searchParams.set("q", text);
    search(address);
  };
  input.addEventListener("input", () => find(input.value));
  input.addEventListener("focus", () => { if (!isMultiple) input.select(); });
  input.addEventListener("blur", () => { box_list.open(false); if (!isMultiple) paint(); });
  input.addEventListener("change", () => {
    if (!isMultiple && !input.value) {
      select.value = "";
      paint();
    }
  });
  paint();
}

// Search over everything: Cmd+K or Ctrl+K.
const opener = document.querySelector("a[data-palette]");
if (opener) {
  const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
  const hint = opener.querySelector("[data-shortcut]");
  if (hint) {
    hint.textContent = isMac ? "⌘ K" : "Ctrl K";
    hint.hidden = false;
  }
  const dialog = document.createElement("dialog");
  dialog.className = "palette";
  dialog.setAttribute("aria-label", "Search");
  const input = document.createElement("input");
  input.type = "text";
  input.placeholder = "Search screens, projects, people and keys";
  input.setAttribute("aria-label", "Search");
  input.autocomplete = "off";
  input.spellcheck = false;
  const list = document.createElement("ul");
  list.dataset.stays = "";
  list.setAttribute("aria-label", "Results");
  dialog.append(input, list);
  document.body.append(dialog);
  const results = listbox(input, list, (option) => { location.assign(option.dataset.value); });
  const search = searcher(({ items, message }) => { if (dialog.open) results.show(items, message); });
  const find = () => {
    const address = new URL(opener.href);
    address.searchParams.set("q", input.value);
    search(address);
  };
  input.addEventListener("input", find);
  const open = () => {
    dialog.showModal();
    input.select();
    find();
  };
  opener.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    open();
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.addEventListener("keydown", (event) => {
    const isShortcut = (event.metaKey || event.ctrlKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k";
    const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (isShortcut || (event.key === "/" && !isTyping && !event.metaKey && !event.ctrlKey)) {
      event.preventDefault();
      if (!dialog.open) open();
    }
  });
}

// The list of time zones offers the zone of the browser first.
for (const button of document.querySelectorAll("button[data-time-zone]")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone) continue;
  button.value = zone;
  button.textContent = `Use ${zone}`;
  button.hidden = false;
}

// What the server says about the outcome is said again where screen readers listen.
const notice = document.querySelector(".notice.success");
if (notice) setTimeout(() => status(notice.textContent.trim(), true), 200);
