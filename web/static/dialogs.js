// Opens a dialog that the server already wrote, instead of following the link that leads to the same page.

/** The dialog a link stands for, if this page holds it. @param {Element | null} link */
function dialogOf(link) {
  const id = link && link.getAttribute("data-opens");
  const dialog = id && document.getElementById(id);
  return dialog instanceof HTMLDialogElement ? dialog : null;
}

/** @param {string} id */
export function open(id) {
  const dialog = document.getElementById(id);
  if (dialog instanceof HTMLDialogElement && !dialog.open && !document.querySelector("dialog[open]")) dialog.showModal();
  return dialog;
}

export function start() {
  document.addEventListener("click", (event) => {
    // A click with a modifier asks for a new tab or window: the link knows how.
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target : null;
    if (!target) return;
    const dialog = dialogOf(target.closest("[data-opens]"));
    if (dialog) {
      event.preventDefault();
      for (const menu of document.querySelectorAll("details.menu[open]")) menu.removeAttribute("open");
      if (!dialog.open) dialog.showModal();
      return;
    }
    // Beside an open dialog: the backdrop counts as the dialog itself.
    if (target instanceof HTMLDialogElement && target.open) {
      const box = target.getBoundingClientRect();
      const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
      if (!inside) target.close();
    }
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(target)) menu.removeAttribute("open");
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.removeAttribute("open");
      const summary = menu.querySelector("summary");
      if (summary) summary.focus();
    }
  });
}
