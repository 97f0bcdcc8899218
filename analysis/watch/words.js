/* What a lane's card says in words and figures. */

/* Session time now; null where nobody knows. */
function clock(lane) {
  if (!LIVE || over || lane.end || !lane.state.running || lane.state.at_s === undefined) return null;
  return lane.state.at_s + Math.min((performance.now() - lane.told_at) / 1000, 2);
}

function phase_of(lane, now) {
  if (lane.end) {
    if (!lane.end.valid) return [lane.end.outcome + ", link not true", true];
    return [lane.end.outcome, lane.end.outcome !== "finished"];
  }
  if (lane.state.fault) return [lane.state.fault, true];
  if (!lane.state.running || over || !LIVE) return ["no end", true];
  if (!lane.rows.length) return ["starting", false];
  if (now === null) return ["silent for " + Math.round(lane.state.silent_s) + " s", true];
  const last = lane.rows[lane.rows.length - 1];
  if (lane.head.kind !== "video" || drained(last, now) > 0) return ["playing", false];
  return standing_s(lane, now) ? ["stalled", true] : ["played out", false];
}

/* How long playback has stood by now since the buffer ran empty; 0 where it plays, or has played all. */
function standing_s(lane, now) {
  const last = lane.rows[lane.rows.length - 1];
  if (!last || now === null || last[CHUNK] + 1 === lane.head.chunks) return 0;
  return Math.max(now - last[IN] - last[AFTER], 0);
}

function facts_of_video(lane, now) {
  const {rows, head, end} = lane, last = rows[rows.length - 1], link = link_at(lane, now);
  const stall = end && end.stall_s !== null ? end.stall_s : rows.reduce((sum, row) => sum + row[STALL], standing_s(lane, now));
  const kbps = last ? head.ladder_kbps[last[LEVEL]] : undefined;
  return [
    ["chunk", (last ? last[CHUNK] + 1 : 0) + "/" + (head.chunks ?? "?")],
    ["level", last ? last[LEVEL] + (kbps ? ` (${kbps} kbit/s)` : "") : "-"],
    end && end.startup_s !== null ? ["startup", end.startup_s.toFixed(2) + " s"]
      : ["buffer", last ? (now === null ? last[AFTER] : drained(last, now)).toFixed(1) + " s" : "-"],
    ["stall", stall.toFixed(2) + " s"],
    ...(last && last[LATENCY] !== null ? [["latency", last[LATENCY].toFixed(2) + " s"]] : []),
    ["throughput", last ? last[MBPS].toFixed(2) + (link === null ? " Mbit/s" : "") : "-"],
    ...(link === null ? [] : [["link", link.toFixed(2) + " Mbit/s"]]),
  ];
}

function facts_of_call(lane) {
  const last = kind => lane.rows.findLast(row => row[0] === kind), decided = last("d"), second = last("s");
  const still = lane.rows.reduce((sum, row) => sum + (row[0] === "s" ? row[6].reduce((all, [begin, end]) => all + end - begin, 0) : 0), 0);
  return [
    ["rate", decided ? decided[2].toFixed(2) + " Mbit/s" : "-"],
    ["came", second ? second[2].toFixed(2) + " Mbit/s" : "-"],
    ["delay", second && second[3] !== null ? second[3].toFixed(0) + " ms" : "-"],
    ["stall", still.toFixed(1) + " s"],
  ];
}

/* What the link is to carry now, or was when the last chunk came. */
function link_at(lane, now) {
  const at = now ?? (lane.rows.length ? lane.rows[lane.rows.length - 1][IN] : 0);
  const step = (lane.head.link || []).find(one => one[0] >= at);
  return step ? step[1] : null;
}

/* Who decided, how often; and why, where somebody said so. */
function deciders(lane) {
  const at = lane.head.kind === "video" ? BY : 3, rows = lane.rows.filter(row => lane.head.kind === "video" || row[0] === "d");
  const counts = new Map();
  for (const row of rows) counts.set(row[at], (counts.get(row[at]) || 0) + 1);
  const last = rows[rows.length - 1], reason = last ? last[at + 1] : "";
  const words = [...counts].map(([by, count]) => by + " " + count).join(", ");
  return "decided by " + (words || "nobody yet") + (reason ? "; last: " + reason : "");
}

/* The chunk or second under the mouse, in words. */
function under(lane, until) {
  const at = (lane.hover - LEFT) / (lane.size.width - LEFT - RIGHT) * until;
  if (lane.head.kind === "call") {
    const row = lane.rows.findLast(one => one[1] <= at && one[0] === "d");
    return row ? `${row[1].toFixed(1)} s: ${row[2].toFixed(2)} Mbit/s by ${row[3]}${row[4] ? ": " + row[4] : ""}` : "";
  }
  const row = lane.rows.findLast(one => one[REQUEST] <= at);
  if (!row) return "";
  return `chunk ${row[CHUNK] + 1}: level ${row[LEVEL]} at ${row[REQUEST].toFixed(1)} s, ${(row[IN] - row[REQUEST]).toFixed(2)} s at ${row[MBPS].toFixed(2)} Mbit/s, `
    + `buffer ${row[BEFORE].toFixed(1)} s, ${row[STALL] ? "stall " + row[STALL].toFixed(2) + " s, " : ""}by ${row[BY]} in ${(1000 * row[DECISION]).toFixed(0)} ms${row[REASON] ? ": " + row[REASON] : ""}`;
}
