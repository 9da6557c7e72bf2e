// What makes forms kinder: shown passwords, copied lines, one click per form, messages that leave by themselves.

/** How long a message stays that asks for nothing. */
const TOAST_MS = 5000;

/** An icon of the sprite, found through one the server wrote. @param {string} name */
function icon(name) {
  const known = document.querySelector("svg.i use");
  const sprite = known ? (known.getAttribute("href") || "").split("#")[0] : "";
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "i");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", sprite + "#" + name);
  svg.append(use);
  return svg;
}

/** @param {string} label @param {string} name */
function button(label, name) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button square small";
  button.setAttribute("aria-label", label);
  button.append(icon(name));
  return button;
}

function revealPasswords() {
  for (const box of document.querySelectorAll(".secret")) {
    const input = box.querySelector("input");
    if (!input) continue;
    const reveal = button("Show password", "eye");
    reveal.className = "button reveal";
    reveal.setAttribute("aria-pressed", "false");
    reveal.addEventListener("click", () => {
      const shown = input.type === "text";
      input.type = shown ? "password" : "text";
      reveal.setAttribute("aria-pressed", String(!shown));
    });
    // Sent as a password again, so that no browser remembers it as a text.
    if (input.form) input.form.addEventListener("submit", () => { input.type = "password"; });
    box.append(reveal);
  }
}

function copyLines() {
  if (!navigator.clipboard) return;
  for (const box of document.querySelectorAll("[data-copy]")) {
    const all = box.getAttribute("data-copy") === "all";
    const copy = button(all ? "Copy all" : "Copy", "copy");
    if (all) {
      copy.className = "button small";
      copy.append("Copy all");
    }
    const label = copy.getAttribute("aria-label") || "";
    copy.addEventListener("click", async () => {
      const text = Array.from(box.querySelectorAll("code"), (code) => code.textContent).join("\n");
      try {
        await navigator.clipboard.writeText(text);
        say("Copied.");
      } catch {
        say("The browser did not let this page copy. Select the text and copy it yourself.");
      }
      copy.setAttribute("aria-label", label);
    });
    box.append(copy);
  }
}

/** A message of the page itself. @param {string} text */
export function say(text) {
  let toasts = document.querySelector(".toasts");
  if (!toasts) {
    toasts = document.createElement("div");
    toasts.className = "toasts";
    document.body.append(toasts);
  }
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.setAttribute("role", "status");
  const words = document.createElement("span");
  words.textContent = text;
  toast.append(words);
  toasts.replaceChildren(toast);
  leave(toast);
}

/** A message goes after a while, unless it holds a link or somebody is reading it. @param {Element} toast */
function leave(toast) {
  if (toast.querySelector("a")) return;
  let timer = setTimeout(() => toast.remove(), TOAST_MS);
  toast.addEventListener("pointerenter", () => clearTimeout(timer));
  toast.addEventListener("pointerleave", () => { timer = setTimeout(() => toast.remove(), TOAST_MS); });
}

function sendOnce() {
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.addEventListener("submit", () => {
      // After the submission has read the button's own name and value.
      setTimeout(() => {
        for (const button of form.querySelectorAll("button:not([type])")) button.setAttribute("disabled", "");
      });
    });
  }
  // Back from the browser's cache: the form may be sent again.
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("form[data-once] button[disabled]")) button.removeAttribute("disabled");
  });
}

export function start() {
  revealPasswords();
  copyLines();
  sendOnce();
  for (const toast of document.querySelectorAll("[data-toast]")) leave(toast);
  // What went wrong, or what is shown once, is read first.
  const first = document.querySelector("[data-focus]");
  if (first instanceof HTMLElement) first.focus();
}
