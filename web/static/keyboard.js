// Keys that work on every page. Each does what a link of the page does, so that nothing depends on them.
import { open } from "./dialogs.js";

/** The second key after `g`, and the link it follows. */
const GOES_TO = { h: "/", e: "/query", t: "/targets", s: "/settings", u: "/account" };
/** How long a first key waits for its second. */
const SECOND_KEY_MS = 1000;

/** Whether keys belong to what has the focus. @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Only a link that is on the page is followed: what may not be opened is not offered. @param {string} path */
function follow(path) {
  const brand = document.querySelector("a.brand");
  const base = brand ? (brand.getAttribute("href") || "/").replace(/\/$/, "") : "";
  const links = Array.from(document.querySelectorAll("a[href]"));
  const wanted = links.find((link) => link.getAttribute("href") === base + path)
    || links.find((link) => (link.getAttribute("href") || "").startsWith(base + path + "/"));
  if (wanted instanceof HTMLElement) wanted.click();
}

export function start() {
  let first = 0;
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      open("palette");
      return;
    }
    // A query may have many lines, so Enter alone is a new one.
    const query = event.target instanceof HTMLTextAreaElement && event.target.form;
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter" && query) {
      event.preventDefault();
      query.requestSubmit();
      return;
    }
    if (event.ctrlKey || event.metaKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const second = event.timeStamp - first < SECOND_KEY_MS;
    first = 0;
    if (second && Object.hasOwn(GOES_TO, event.key)) follow(GOES_TO[/** @type {"h"} */ (event.key)]);
    else if (event.key === "g") first = event.timeStamp;
    else if (event.key === "/") open("palette");
    else if (event.key === "?") open("keys");
    else if (event.key === "r") {
      const refresh = document.querySelector("[data-refresh]");
      if (refresh instanceof HTMLElement) refresh.click();
      return;
    } else return;
    event.preventDefault();
  });
}
