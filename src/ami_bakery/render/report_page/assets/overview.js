// The overview: filters and order of the images. Both are in the URL.
const overview = {
  form: find("#filters"),
  table: find("#images"),
  rows: findAll("#images tbody tr"),
  columns: findAll("#images thead th").map((cell) => cell.dataset.sort),
};
const FILTERS = ["state", "region", "channel", "tag"];

const setupOverview = () => {
  const select = overview.form.elements.sort;
  select.append(create("option", { value: "", textContent: "Order of bakery.toml" }));
  for (const cell of overview.table.tHead.rows[0].cells) {
    for (const [suffix, words] of [["", "ascending"], ["-desc", "descending"]]) {
      const text = `${cell.textContent.trim()}, ${words}`;
      select.append(create("option", { value: cell.dataset.sort + suffix, textContent: text }));
    }
  }
  addSortButtons(overview.table);
};

/** Shows the filters and the order of a query such as "state=behind&text=web&sort=built-desc". */
const showOverview = (query) => {
  if (!overview.form) return;
  for (const name of ["text", "sort", ...FILTERS]) {
    const control = overview.form.elements[name];
    const value = query.get(name) ?? "";
    if (control.value !== value) control.value = value;
    if (control.value !== value) control.value = ""; // no such option
  }
  filterOverview();
  sortOverview();
};

const filterOverview = () => {
  const { form, rows } = overview;
  const wanted = FILTERS.map((name) => [name, form.elements[name].value]).filter(([, value]) => value);
  const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const matches =
      wanted.every(([name, value]) => row.dataset[name].split("\n").includes(value)) &&
      words.every((word) => row.dataset.text.includes(word));
    row.hidden = !matches;
    shown += matches;
  }
  find("#shown").textContent =
    shown === rows.length ? counted(shown, "image") : `${shown} of ${counted(rows.length, "image")}`;
  find("#no-match").hidden = shown > 0;
  overview.table.hidden = shown === 0;
  for (const link of findAll("[data-state-link]")) {
    if (link.dataset.stateLink === form.elements.state.value) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
};

const sortOverview = () => {
  const [name, direction] = overview.form.elements.sort.value.split(/-(?=desc$)/);
  sortTable(overview.table, overview.columns.indexOf(name), direction === "desc");
};

const overviewQuery = () => {
  const query = new URLSearchParams();
  for (const name of ["text", ...FILTERS, "sort"]) {
    const { value } = overview.form.elements[name];
    if (value) query.set(name, value);
  }
  return query;
};

const overviewQueryText = () => {
  const text = overviewQuery().toString();
  return text && `?${text}`;
};

const changeOverview = () => {
  replaceQuery("/", overviewQuery());
  filterOverview();
  sortOverview();
};

const onOverviewSort = (cell) => {
  const [column, descending] = nextSort(cell);
  overview.form.elements.sort.value = column < 0 ? "" : overview.columns[column] + (descending ? "-desc" : "");
  changeOverview();
};
