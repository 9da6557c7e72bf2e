// The search for pages: narrows the list that the server wrote, and walks it by keys.

/** @param {HTMLInputElement} input */
function attach(input) {
  const form = input.form;
  const list = form && form.parentElement && form.parentElement.querySelector("[data-found]");
  const nothing = form && form.parentElement && form.parentElement.querySelector("[data-nothing]");
  if (!form || !list) return;
  const rows = Array.from(list.querySelectorAll("li"));
  const texts = rows.map((row) => (row.textContent || "").toLowerCase());
  let chosen = -1;

  const shown = () => rows.filter((row) => !row.hidden);
  /** @param {number} at */
  const choose = (at) => {
    chosen = at;
    shown().forEach((row, index) => {
      const link = row.querySelector("a");
      if (!link) return;
      link.toggleAttribute("data-chosen", index === at);
      if (index === at) link.scrollIntoView({ block: "nearest" });
    });
  };
  const narrow = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row, index) => { row.hidden = !words.every((word) => texts[index].includes(word)); });
    if (nothing instanceof HTMLElement) nothing.hidden = shown().length > 0;
    choose(input.value ? 0 : -1);
  };
  input.addEventListener("input", narrow);
  input.addEventListener("keydown", (event) => {
    const count = shown().length;
    if (event.key === "ArrowDown" && count) choose((chosen + 1) % count);
    else if (event.key === "ArrowUp" && count) choose((chosen + count - 1) % count);
    else if (event.key === "Enter" && chosen >= 0) {
      const link = shown()[chosen] && shown()[chosen].querySelector("a");
      if (!link) return;
      link.click();
    } else return;
    event.preventDefault();
  });
  const dialog = form.closest("dialog");
  if (dialog) dialog.addEventListener("close", () => { input.value = ""; narrow(); });
}

export function start() {
  for (const input of document.querySelectorAll("input[data-find]")) {
    if (input instanceof HTMLInputElement) attach(input);
  }
}
