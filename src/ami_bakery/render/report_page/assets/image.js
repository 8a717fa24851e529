// What changed between any two builds of an image.

/** Composes the changes of consecutive builds; the schema of the report explains the numbers of states. */
const compose = (builds) => {
  const subjects = new Map();
  const notes = [];
  for (const build of builds) {
    if (!build.changes) {
      notes.push("what changed is unknown");
      continue;
    }
    for (const change of build.changes.items) {
      const key = JSON.stringify([change.part, change.subject]);
      const known = subjects.get(key) ?? { ...change, steps: [] };
      known.after = change.after;
      known.steps.push({ build, detail: change.detail });
      subjects.set(key, known);
    }
    notes.push(...build.changes.notes);
  }
  const changes = [...subjects.values()].filter((change) => change.before !== change.after);
  return { changes, notes: [...new Set(notes)] };
};

const PART_WORDS = { files: "Files", variables: "Variables", base: "Source AMI", tools: "Tools", settings: "Settings" };
const changeWord = (change) => (change.before === null ? "Added" : change.after === null ? "Removed" : "Changed");
const dateOf = (build) => (build.created ? build.created.slice(0, 16).replace("T", " ") : "unknown date");

/** The clause of a change, without the subject if it begins with it. */
const clause = (change, detail) => visible(detail.startsWith(`${change.subject} `) ? detail.slice(change.subject.length + 1) : detail);

/** One step has words for exactly these builds; of several steps, each is shown with its build. */
const detailOf = (change) => {
  if (change.steps.length === 1) return [clause(change, change.steps[0].detail)];
  const list = create("ul", { className: "plain" });
  for (const { build, detail } of change.steps) {
    list.append(create("li", {}, create("span", { className: "none", textContent: `${dateOf(build)}: ` }), clause(change, detail)));
  }
  return [`${changeWord(change)}, in ${counted(change.steps.length, "build")}`, list];
};

const labelled = (label, ...children) => {
  const cell = create("td", {}, ...children);
  cell.dataset.label = label;
  return cell;
};

const changesTable = (changes) => {
  const titles = ["Subject", "Part", "Change"];
  const head = create("tr", {}, ...titles.map((text) => create("th", { scope: "col", textContent: text })));
  const order = Object.keys(PART_WORDS);
  const sorted = changes.sort((one, other) => order.indexOf(one.part) - order.indexOf(other.part));
  const rows = sorted.map((change) =>
    create(
      "tr",
      {},
      create("th", { scope: "row" }, create("code", { textContent: visible(change.subject) })),
      labelled("Part", PART_WORDS[change.part]),
      labelled("Change", ...detailOf(change)),
    ),
  );
  const caption = create("caption", { textContent: "Differences between the two builds" });
  return create("table", { className: "stack" }, caption, create("thead", {}, head), create("tbody", {}, ...rows));
};

const comparison = (builds, from, to) => {
  if (from === to) return [create("p", { className: "none", textContent: "These are the same build. Choose another one." })];
  const [older, newer] = [Math.max(from, to), Math.min(from, to)]; // builds are newest first
  const { changes, notes } = compose(builds.slice(newer, older).reverse());
  const same = "No difference between the definitions of these builds is known.";
  const parts = [changes.length ? changesTable(changes) : create("p", { className: "none", textContent: same })];
  if (notes.length) {
    const items = notes.map((note) => create("li", { textContent: visible(note) }));
    parts.push(create("p", { className: "note", textContent: "What is unknown:" }), create("ul", { className: "note" }, ...items));
  }
  return parts;
};

const buildsOf = (view) => report().images[view.dataset.index].builds;

const setupCompare = (view) => {
  const form = find(".compare form", view);
  if (!form) return;
  for (const select of [form.elements.from, form.elements.to]) {
    for (const build of buildsOf(view)) {
      const text = `${dateOf(build)} · ${build.id} · ${build.state.replace("-", " ")}`;
      select.append(create("option", { value: build.id, textContent: visible(text) }));
    }
  }
};

const showCompare = (view, query) => {
  const form = find(".compare form", view);
  if (!form) return;
  const builds = buildsOf(view);
  const choose = (name, otherwise) => {
    const index = builds.findIndex((build) => build.id === query.get(name));
    form.elements[name].selectedIndex = index < 0 ? otherwise : index;
  };
  choose("from", 1);
  choose("to", 0);
  renderCompare(view, form);
};

const renderCompare = (view, form) => {
  const { from, to } = form.elements;
  find(".comparison", view).replaceChildren(...comparison(buildsOf(view), from.selectedIndex, to.selectedIndex));
};

const changeCompare = (form) => {
  const view = form.closest(".view");
  const query = new URLSearchParams({ from: form.elements.from.value, to: form.elements.to.value });
  replaceQuery(view.dataset.path, query);
  renderCompare(view, form);
};
