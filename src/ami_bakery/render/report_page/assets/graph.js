// The lineage graph: zoom by the size of the drawing, move by scrolling its frame.
const graph = { scale: 1, width: 0, height: 0 };

const setupGraph = () => {
  const canvas = find("#canvas");
  const drawing = canvas && find("svg", canvas);
  if (!drawing) return;
  const { width, height } = drawing.viewBox.baseVal;
  Object.assign(graph, { canvas, drawing, width, height });
  canvas.addEventListener("keydown", onGraphKey);
  canvas.addEventListener("wheel", onGraphWheel, { passive: false });
  canvas.addEventListener("pointerdown", onGraphPointer);
  canvas.addEventListener("dragstart", (event) => event.preventDefault());
  fitGraph(0.6);
};

/** Shows the whole graph, but not smaller than `smallest`. */
const fitGraph = (smallest = 0.05) => {
  const { canvas, width, height } = graph;
  const highest = parseFloat(getComputedStyle(canvas).maxHeight) || innerHeight;
  const fitting = Math.min(canvas.clientWidth / width, highest / height, 1);
  zoomGraph(Math.max(fitting, smallest) / graph.scale, 0, 0);
  canvas.scrollTo(0, Math.max(0, (canvas.scrollHeight - canvas.clientHeight) / 2));
};

/** Zooms around a point of the frame, in pixels. */
const zoomGraph = (factor, x, y) => {
  const { canvas, drawing, width, height } = graph;
  const scale = Math.min(4, Math.max(0.05, graph.scale * factor));
  const moved = scale / graph.scale;
  const [left, top] = [(canvas.scrollLeft + x) * moved - x, (canvas.scrollTop + y) * moved - y];
  graph.scale = scale;
  drawing.setAttribute("width", width * scale);
  drawing.setAttribute("height", height * scale);
  canvas.scrollTo(left, top);
};

const zoomCenter = (factor) => zoomGraph(factor, graph.canvas.clientWidth / 2, graph.canvas.clientHeight / 2);

const GRAPH_ACTIONS = {
  in: () => zoomCenter(1.25),
  out: () => zoomCenter(0.8),
  fit: () => fitGraph(),
};
const GRAPH_KEYS = {
  "+": GRAPH_ACTIONS.in,
  "=": GRAPH_ACTIONS.in,
  "-": GRAPH_ACTIONS.out,
  0: GRAPH_ACTIONS.fit,
  ArrowLeft: () => graph.canvas.scrollBy(-60, 0),
  ArrowRight: () => graph.canvas.scrollBy(60, 0),
  ArrowUp: () => graph.canvas.scrollBy(0, -60),
  ArrowDown: () => graph.canvas.scrollBy(0, 60),
};

const onGraphKey = (event) => {
  const act = Object.hasOwn(GRAPH_KEYS, event.key) && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (!act) return;
  event.preventDefault();
  GRAPH_KEYS[event.key]();
};

/** Without Ctrl, the wheel scrolls the page. */
const onGraphWheel = (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  const frame = graph.canvas.getBoundingClientRect();
  zoomGraph(Math.exp(-event.deltaY / 300), event.clientX - frame.left, event.clientY - frame.top);
};

/** Moves the graph with the pointer. A movement of a few pixels is still a click. */
const onGraphPointer = (event) => {
  if (event.button !== 0 || event.pointerType === "touch") return;
  const { canvas } = graph;
  let [x, y] = [event.clientX, event.clientY];
  let dragged = false;
  const move = (moving) => {
    if (!dragged && Math.hypot(moving.clientX - x, moving.clientY - y) < 5) return;
    dragged = true;
    canvas.classList.add("dragged");
    canvas.scrollBy(x - moving.clientX, y - moving.clientY);
    [x, y] = [moving.clientX, moving.clientY];
  };
  const end = () => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", end);
    removeEventListener("pointercancel", end);
    canvas.classList.remove("dragged");
    if (dragged) {
      const stop = (click) => click.preventDefault();
      canvas.addEventListener("click", stop, { capture: true, once: true });
      setTimeout(() => canvas.removeEventListener("click", stop, { capture: true }));
    }
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", end);
  addEventListener("pointercancel", end);
};
