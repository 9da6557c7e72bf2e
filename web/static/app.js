// The entry: every page loads it, no page needs it. Markup is never made from strings (Trusted Types).
import { start as dialogs } from "./dialogs.js";
import { start as forms } from "./forms.js";
import { start as keyboard } from "./keyboard.js";
import { start as palette } from "./palette.js";

for (const start of [dialogs, forms, keyboard, palette]) start();
