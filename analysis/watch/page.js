/* What the server tells, message by message, and the lanes' cards. Words of records are set as text only. */

const CHUNK = 0, LEVEL = 1, REQUEST = 2, IN = 3, MBPS = 4, BEFORE = 5, AFTER = 6, STALL = 7, DECISION = 8, BY = 9, REASON = 10, LATENCY = 11;
const MOST_ROWS = 4000, REDRAW_MS = 250;
const LIVE = document.querySelector("meta[name=live]").content === "yes";
const lanes = new Map();
const PAGE = document.querySelector("meta[name=page]").content;
let run = {}, paint = colours(), over = false, kept = "";

const by_policy = row => row[BY] !== "fallback";
const byId = id => document.getElementById(id);

function element(kind, words = "", named = "") {
  const made = document.createElement(kind);
  made.textContent = words;
  if (named) made.className = named;
  return made;
}

/* A text is set where it is another one: the page is laid out anew then. */
function say(node, words) {
  if (node.said !== words) node.textContent = node.said = words;
}

/* Facts of a lane, [name, value], the values in bold; the elements stay. */
function tell(lane, facts) {
  const names = facts.map(([name]) => name).join();
  if (lane.names !== names) {
    lane.names = names;
    lane.values = facts.map(() => element("b"));
    lane.facts.replaceChildren(...facts.map(([name], index) => {
      const made = element("span", name + " ");
      made.append(lane.values[index]);
      return made;
    }));
  }
  facts.forEach(([, value], index) => say(lane.values[index], value));
}

function take(message) {
  if (message.begin) { for (const key of [...lanes.keys()]) drop(key); }
  if (message.run) { run = message.run; show_run(); }
  if (message.gone !== undefined) drop(message.gone);
  if (message.over !== undefined) [over, kept] = [true, message.over];
  if (message.lane === undefined) return;
  if (message.head && !lanes.has(message.lane)) lanes.set(message.lane, new_lane(message.head));
  const lane = lanes.get(message.lane);
  if (!lane) return;
  if (message.rows) lane.rows = lane.rows.concat(message.rows).slice(-MOST_ROWS);
  if (message.end) lane.end = message.end;
  if (message.state) { lane.state = message.state; lane.told_at = performance.now(); }
  lane.fresh = true;
}

function drop(key) {
  const lane = lanes.get(key);
  if (lane) { lane.card.remove(); seen.unobserve(lane.canvas); sized.unobserve(lane.canvas); }
  lanes.delete(key);
}

function new_lane(head) {
  const card = element("article", "", "lane"), top = element("h2"), phase = element("span", "", "phase");
  const facts = element("div", "", "facts"), canvas = element("canvas"), small = element("p", "", "small");
  top.append(element("span", head.name), phase);
  card.append(top, facts, canvas, small);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "over time: throughput and link, level, buffer; the figures stand above");
  const lane = {head, card, phase, facts, canvas, small, rows: [], end: null, state: {}, told_at: 0, fresh: true, visible: true, hover: null, size: {}};
  canvas.addEventListener("mousemove", event => { lane.hover = event.offsetX; lane.fresh = true; soon(); });
  canvas.addEventListener("mouseleave", () => { lane.hover = null; lane.fresh = true; soon(); });
  canvas.lane = lane;
  seen.observe(canvas);
  sized.observe(canvas);
  const after = [...lanes.values()].find(other => order(head, other.head) < 0);
  byId("lanes").insertBefore(card, after ? after.card : null);
  return lane;
}

/* By name; of a sweep those that began last come first. */
const order = (one, other) => (one.setting ? other.started_at.localeCompare(one.started_at) : 0) || one.name.localeCompare(other.name);

const seen = new IntersectionObserver(entries => entries.forEach(entry => {
  entry.target.lane.visible = entry.isIntersecting;
  entry.target.lane.fresh = true;
  soon();
}));

const sized = new ResizeObserver(entries => entries.forEach(entry => {
  const {width, height} = entry.contentRect;
  Object.assign(entry.target.lane, {size: {width, height}, fresh: true});
  soon();
}));

function show(lane) {
  const now = clock(lane), last = lane.rows[lane.rows.length - 1];
  const reached = last ? (lane.head.kind === "video" ? last[IN] : last[1]) : 0;
  const until = Math.max(lane.head.length_s || 10, reached, now || 0, lane.end ? lane.end.elapsed_s || 0 : 0);
  const [words, bad] = phase_of(lane, now);
  say(lane.phase, words);
  lane.phase.classList.toggle("bad", bad);
  const drawn = {video: draw_video, call: draw_call}[lane.head.kind];
  if (drawn) tell(lane, lane.head.kind === "video" ? facts_of_video(lane, now) : facts_of_call(lane));
  const more = lane.end && [lane.end.reason, ...lane.end.reasons].filter(Boolean).join("; ");
  const about = [lane.head.setting, lane.head.trace, lane.head.policy === lane.head.name ? "" : lane.head.policy].filter(Boolean).join(", ");
  lane.canvas.hidden = !drawn;
  if (!drawn) return say(lane.small, ["records of this kind have no picture", about].join(" · "));
  say(lane.small, lane.hover !== null ? under(lane, until) : more || deciders(lane) + (about ? " · " + about : ""));
  const place = surface(lane.canvas, lane.size);
  if (!place) return;
  axis(place, until, now, paint);
  drawn(lane, place, until, now, paint);
}

function show_run() {
  document.title = (run.sweep ? run.sweep.name : run.name) + " · Streambed";
  byId("title").textContent = run.sweep ? run.sweep.name : run.name;
  const words = [run.sweep && run.sweep.question, run.more ? `${run.more} more sessions, not shown` : "",
    run.damaged ? `${run.damaged} lines that can't be shown` : "", run.fault];
  byId("about").textContent = words.filter(Boolean).join(" · ");
  byId("sweep").hidden = !run.sweep;
  if (run.sweep) show_sweep(run.sweep, run.records);
}

/* `sweep.json` is rewritten every ten seconds; records are there at once. */
function show_sweep(sweep, records) {
  if (sweep.fault) return byId("sweep").replaceChildren(element("p", sweep.fault));
  const bar = element("div", "", "progress"), done = element("div"), table = element("table");
  const over = sweep.expected - Object.fromEntries(sweep.counts).missing;
  done.style.width = 100 * Math.min(Math.max(over, sweep.complete ? 0 : records) / Math.max(sweep.expected, 1), 1) + "%";
  bar.append(done);
  const words = sweep.counts.map(([status, count]) => `${count} ${status === "missing" ? "to come" : status}`).join(", ");
  const row = (cells, kind) => { const made = element("tr"); made.append(...cells.map(one => element(kind, String(one)))); return made; };
  table.append(row(["policy", "done", "invalid", "failed", "to come"], "th"), ...sweep.policies.map(one => row(one, "td")));
  const spent = sweep.wall_s === null ? "" : `, ${Math.round(sweep.wall_s)} s so far`;
  byId("sweep").replaceChildren(bar, element("p", `${sweep.expected} sessions: ${words}${spent}${sweep.complete ? ", complete" : `; ${records} records are there`}`, "small"), table);
}

function show_legend() {
  const entries = [["link", "what the trace carries"], ["bar", "throughput"], ["level", "level, or a call's rate"], ["buffer", "buffer, or delay"],
    ["stall", "stall"], ["other", "the fallback decided"]];
  byId("legend").replaceChildren(...entries.map(([name, words]) => {
    const made = element("span"); made.append(element("i", "", "mark " + name), words); return made;
  }));
}

function redraw(all = false) {
  if (document.hidden) return;
  for (const lane of lanes.values()) {
    if (!lane.visible || !(all || lane.fresh || clock(lane) !== null)) continue;
    lane.fresh = false;
    show(lane);
  }
}

const soon = () => requestAnimationFrame(() => redraw());

function connect() {
  const source = new EventSource("events" + location.search), status = byId("connection");
  const report = (words, lost = false) => { say(status, words); status.classList.toggle("lost", lost); };
  source.onmessage = event => {
    for (const message of JSON.parse(event.data)) take(message);
    if (over) { source.close(); report(kept ? `over; kept as ${kept} beside the records` : "over; this page was not kept"); redraw(true); } else report("live");
  };
  source.onerror = () => { if (!over) report("the connection is lost; trying again", true); };
  addEventListener("pagehide", () => source.close());
  const keep = element("a", "keep this page");
  keep.href = PAGE + location.search;
  status.after(keep);
}

for (const message of JSON.parse(byId("data").textContent)) take(message);
show_legend();
redraw(true);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { paint = colours(); redraw(true); });
addEventListener("resize", () => redraw(true));
document.addEventListener("visibilitychange", () => redraw(true));
if (LIVE) { connect(); setInterval(redraw, REDRAW_MS); } else addEventListener("load", () => redraw(true));
