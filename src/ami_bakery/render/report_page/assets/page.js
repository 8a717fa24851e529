// Small tools that all views use. Data enters the page as text only.
const find = (selector, root = document) => root.querySelector(selector);
const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];

const create = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

let parsed;
/** The document of the report. It is parsed when a view first needs it. */
const report = () => (parsed ??= JSON.parse(find("#report-data").textContent));

/** Escapes control characters, and characters that change the text direction, as the server does. */
const visible = (text) =>
  text.replace(/[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu, (character) => {
    const code = character.codePointAt(0);
    const known = { 9: "\\t", 10: "\\n", 13: "\\r" }[code];
    return known ?? (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`);
  });

const counted = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

const UNITS = [
  ["year", 31557600],
  ["month", 2629800],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];
const relativeFormat = new Intl.RelativeTimeFormat("en");

const relative = (machine) => {
  const seconds = (Date.parse(machine) - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? [];
  if (!unit) return seconds > 5 ? "in less than a minute" : "less than a minute ago"; // clocks differ
  return relativeFormat.format(Math.trunc(seconds / size), unit);
};

/** Shows times relative to now. A time of class "both" keeps its date. */
const showTimes = (root) => {
  for (const time of findAll("time", root)) {
    time.dataset.minute ??= time.textContent;
    time.title = time.dateTime.replace("T", " ").replace("Z", " UTC");
    const text = relative(time.dateTime);
    time.textContent = time.classList.contains("both") ? `${time.dataset.minute} · ${text}` : text;
  }
};

const announce = (text) => {
  find("#announcement").textContent = text;
};

const addCopyButtons = (root) => {
  for (const element of findAll("[data-copy]", root)) {
    const text = element.dataset.copy || element.textContent;
    const button = create("button", { type: "button", className: "copy", title: "Copy" });
    button.setAttribute("aria-label", `Copy ${text}`);
    element.after(button);
  }
};

const copyByCommand = (text) => {
  const area = create("textarea", { value: text, className: "offscreen" });
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
};

const copyText = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByCommand(text); // without a secure context, or without the permission
  }
};

const onCopy = async (button) => {
  const element = button.previousElementSibling;
  const text = element.dataset.copy || element.textContent;
  const copied = await copyText(text);
  button.focus();
  announce(copied ? `Copied ${text}` : "The browser does not allow copying");
  button.classList.toggle("done", copied);
  setTimeout(() => button.classList.remove("done"), 1500);
};

const collator = new Intl.Collator("en", { numeric: true });
const keyOf = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.key ?? cell.textContent.trim();
};

/** Sorts the rows of a table. Rows without a value are last; `column` -1 restores the first order. */
const sortTable = (table, column, descending) => {
  const body = table.tBodies[0];
  const rows = (table.rowsInOrder ??= [...body.rows]);
  const order = descending ? -1 : 1;
  const keys = new Map(rows.map((row) => [row, column < 0 ? "" : keyOf(row, column)]));
  const sorted = [...rows].sort((first, second) => {
    const [one, other] = [keys.get(first), keys.get(second)];
    if (!one || !other) return !one - !other;
    return order * collator.compare(one, other);
  });
  body.append(...sorted);
  [...table.tHead.rows[0].cells].forEach((cell, index) => {
    if (index === column) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
};

const addSortButtons = (table) => {
  for (const cell of table.tHead.rows[0].cells) {
    const button = create("button", { type: "button", className: "sort" }, ...cell.childNodes);
    cell.replaceChildren(button);
  }
};

/** The column and direction that a click on a header leads to: ascending, descending, then the first order. */
const nextSort = (cell) => {
  const now = cell.getAttribute("aria-sort");
  if (now === "descending") return [-1, false];
  return [cell.cellIndex, now === "ascending"];
};
