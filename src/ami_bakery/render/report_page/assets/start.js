// Shows the view of the URL, and handles events for all views.
const views = new Map();
const SETUPS = { "/": () => overview.form && setupOverview(), "/lineage": setupGraph };
const prepared = new Set();
const positions = new Map();
let current = null;

const readHash = () => {
  const [path, query = ""] = location.hash.slice(1).split("?");
  return { path: path || "/", query: new URLSearchParams(query) };
};

/** Changes the query of the URL, without an entry in the history. */
const replaceQuery = (path, query) => {
  const text = query.toString();
  try {
    history.replaceState(history.state, "", `#${path}${text && `?${text}`}`);
  } catch {
    // A sandboxed frame, as in a preview of CI artifacts: the filter works, but is not in the URL.
  }
};

/**
 * Collects the views. Without their ids, the browser does not scroll to them. The views of images are in <noscript>
 * elements: the browser keeps their HTML as text, so that thousands of builds cost nothing until a view is opened.
 */
const collectViews = () => {
  for (const holder of findAll("noscript[data-path]")) views.set(holder.dataset.path, holder);
  for (const view of findAll(".view[id]")) {
    views.set(view.id, view);
    view.dataset.path = view.id;
    view.removeAttribute("id");
  }
};

/** The view of a path; null while it may still be loading. */
const viewOf = (path) => {
  const view = views.get(path) ?? views.get(encodedPath(path));
  return view ?? (document.readyState === "loading" ? null : views.get("/not-found"));
};

/** Encodes a path as the server does, for URLs that a user typed. */
const encodedPath = (path) => {
  try {
    const encode = (part) => encodeURIComponent(decodeURIComponent(part));
    return path.split("/").map(encode).join("/").replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
  } catch {
    return path;
  }
};

/** Replaces a <noscript> element by the view that the server rendered into it. */
const unfold = (holder) => {
  const section = new DOMParser().parseFromString(holder.textContent, "text/html").querySelector(".view");
  const view = document.adoptNode(section);
  view.dataset.path = view.id;
  view.removeAttribute("id");
  views.set(view.dataset.path, view);
  holder.replaceWith(view);
  return view;
};

const prepare = (view) => {
  if (prepared.has(view)) return;
  prepared.add(view);
  showTimes(view);
  addCopyButtons(view);
  for (const table of findAll("table.sortable", view)) addSortButtons(table);
  SETUPS[view.dataset.path]?.();
  setupCompare(view);
};

/** Shows a view, and moves the focus to its heading unless the page was just opened. */
const show = (view, query) => {
  const changed = view !== current;
  if (changed && current) {
    positions.set(current, scrollY);
    current.classList.remove("open");
  }
  view.hidden = false;
  view.classList.add("open");
  prepare(view);
  if (view.dataset.path === "/") showOverview(query);
  else showCompare(view, query);
  if (!changed) return;
  const heading = find("h2", view);
  const notice = find("#unknown");
  if (notice) notice.open = view.dataset.path === "/";
  document.title = `${heading.textContent.trim()} · AMI report`;
  for (const link of findAll("nav a")) {
    if (link.hash === `#${view.dataset.path}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (current) {
    scrollTo(0, view.dataset.path === "/" ? (positions.get(view) ?? 0) : 0);
    heading.focus({ preventScroll: true });
  }
  current = view;
};

const route = () => {
  const { path, query } = readHash();
  if (current && !path.startsWith("/")) return; // a link inside the page
  const view = viewOf(path.startsWith("/") ? path : "/");
  if (view) show(view.matches("noscript") ? unfold(view) : view, query);
};

const onClick = (event) => {
  const target = event.target.closest("button, a");
  if (!target) return;
  if (target.matches(".copy")) onCopy(target);
  else if (target.matches(".sort")) onSort(target.closest("th"));
  else if (target.dataset.graph) GRAPH_ACTIONS[target.dataset.graph]();
  else if (target.matches('[href^="#"]:not([href^="#/"])')) jump(event, target);
  else if (target.dataset.stateLink !== undefined) chooseState(event, target);
};

const onSort = (cell) => {
  const table = cell.closest("table");
  if (table === overview.table) onOverviewSort(cell);
  else sortTable(table, ...nextSort(cell));
};

/** Moves to a part of the page. The URL keeps the view. */
const jump = (event, link) => {
  event.preventDefault();
  const target = document.getElementById(link.hash.slice(1));
  target.focus({ preventScroll: true });
  target.scrollIntoView();
};

const chooseState = (event, link) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab
  event.preventDefault();
  overview.form.elements.state.value = link.dataset.stateLink;
  changeOverview();
};

const onInput = (event) => {
  const { form } = event.target;
  if (form && form === overview.form) changeOverview();
  else if (form?.closest(".compare")) changeCompare(form);
};

const opened = [];
const onBeforePrint = () => {
  for (const view of views.values()) if (view.matches("noscript")) unfold(view);
  for (const details of findAll("details:not([open])")) {
    details.open = true;
    opened.push(details);
  }
  for (const time of findAll("time[data-minute]")) time.textContent = time.dataset.minute;
};
const onAfterPrint = () => {
  for (const root of [find("header"), ...prepared]) showTimes(root);
  for (const details of opened.splice(0)) details.open = false;
};

const onKey = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "/" && !typing) searchByKey(event);
  else if (event.key === "Escape" && event.target.name === "text") {
    event.target.value = "";
    changeOverview();
  } else if (event.key === "Escape" && !typing && current?.matches(".image")) location.hash = overviewHash();
};

/** The URL of the overview, with its filters. */
const overviewHash = () => `#/${overview.form ? overviewQueryText() : ""}`;

const searchByKey = (event) => {
  if (!overview.form) return;
  event.preventDefault();
  if (current.dataset.path !== "/") location.hash = overviewHash();
  setTimeout(() => overview.form.elements.text.focus()); // after the view is shown
};

document.addEventListener("click", onClick);
document.addEventListener("keydown", onKey);
document.addEventListener("input", onInput);
document.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("reset", (event) => {
  event.preventDefault();
  for (const control of event.target.elements) if (control.name) control.value = "";
  changeOverview();
  event.target.elements.text.focus();
});
addEventListener("hashchange", route);
addEventListener("beforeprint", onBeforePrint);
addEventListener("afterprint", onAfterPrint);
matchMedia("print").addEventListener("change", (media) => (media.matches ? onBeforePrint() : onAfterPrint()));
document.addEventListener("DOMContentLoaded", () => {
  collectViews();
  if (!current) route();
  showTimes(find("header"));
  showTimes(find("footer"));
});
collectViews();
route();
