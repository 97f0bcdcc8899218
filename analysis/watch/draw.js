"use strict";
/* A lane's picture: strips over one axis of time. What it draws are numbers; words go to the page as text. */

const LEFT = 34, RIGHT = 6, TOP = 4, BOTTOM = 14, GAP = 8;

function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "soft", "edge", "link", "bar", "level", "buffer", "stall", "other"];
  return Object.fromEntries(names.map(name => [name, style.getPropertyValue("--" + name)]));
}

/* A canvas of as many pixels as the screen has there; null where it can't be seen. Its size on the page is told,
   not asked for: that would lay the page out once more for each lane. */
function surface(canvas, {width, height}) {
  const ratio = devicePixelRatio || 1;
  if (!width || !height) return null;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const to = canvas.getContext("2d");
  to.setTransform(ratio, 0, 0, ratio, 0, 0);
  to.clearRect(0, 0, width, height);
  to.font = "10px system-ui, sans-serif";
  return {to, width, height};
}

/* A strip: from `top`, `high` pixels, values from 0 to `most`, of which the axis tells `told`. */
function strip(place, top, high, most, until, paint, told = most) {
  const {to, width} = place, span = width - LEFT - RIGHT;
  const x = at => LEFT + span * Math.min(at / until, 1), y = value => top + high * (1 - Math.min(value / most, 1));
  to.strokeStyle = paint.edge;
  to.strokeRect(LEFT - 0.5, Math.round(top) + 0.5, span + 1, Math.round(high));
  to.fillStyle = paint.soft;
  to.textAlign = "right";
  to.textBaseline = "top";
  to.fillText(short(told), LEFT - 4, top);
  to.textBaseline = "bottom";
  to.fillText("0", LEFT - 4, top + high);
  return {to, x, y, top, bottom: top + high};
}

const short = value => value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(2)));

/* A round number that is not below a value. */
function round_up(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 0.1)));
  return power * [1, 1.5, 2, 3, 4, 5, 7, 10].find(step => step * power >= value * 0.999);
}

/* What a strip shows, over all that is drawn in it. */
function named(part, words, paint) {
  part.to.fillStyle = paint.soft;
  part.to.textAlign = "left";
  part.to.textBaseline = "top";
  part.to.fillText(words, LEFT + 4, part.top + 3);
}

function axis(place, until, now, paint) {
  const {to, width, height} = place, span = width - LEFT - RIGHT;
  const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200].find(one => until / one <= 7) || until;
  to.fillStyle = paint.soft;
  to.textBaseline = "bottom";
  for (let at = 0; at <= until; at += step) {
    to.textAlign = at ? "center" : "left";
    if (LEFT + span * at / until < width - 14) to.fillText(at + (at ? "" : " s"), LEFT + span * at / until, height);
  }
  if (now === null) return;
  to.strokeStyle = paint.soft;
  to.setLineDash([2, 3]);
  to.beginPath();
  to.moveTo(LEFT + span * Math.min(now / until, 1), TOP);
  to.lineTo(LEFT + span * Math.min(now / until, 1), height - BOTTOM);
  to.stroke();
  to.setLineDash([]);
}

/* What the link could carry: a ground of steps [end, value]. The same path is kept as long as it fits. */
function ground(lane, part, most, until, colour) {
  const fits = [until, most, part.x(until), part.bottom].join();
  if (lane.ground_fits !== fits) {
    const path = new Path2D();
    let begin = 0;
    path.moveTo(part.x(0), part.bottom);
    for (const [end, value] of lane.head.link || []) {
      if (begin > until) break;
      path.lineTo(part.x(begin), part.y(value));
      path.lineTo(part.x(end), part.y(value));
      begin = end;
    }
    path.lineTo(part.x(Math.min(begin, until)), part.bottom);
    Object.assign(lane, {ground: path, ground_fits: fits});
  }
  part.to.fillStyle = colour;
  part.to.fill(lane.ground);
}

function line(part, points, colour, dash = []) {
  part.to.strokeStyle = colour;
  part.to.lineWidth = 1.5;
  part.to.setLineDash(dash);
  part.to.beginPath();
  points.forEach(([at, value], index) => index ? part.to.lineTo(part.x(at), part.y(value)) : part.to.moveTo(part.x(at), part.y(value)));
  part.to.stroke();
  part.to.lineWidth = 1;
  part.to.setLineDash([]);
}

function box(part, from, to, low, high, colour, alpha = 1) {
  part.to.globalAlpha = alpha;
  part.to.fillStyle = colour;
  part.to.fillRect(part.x(from), part.y(high), Math.max(part.x(to) - part.x(from), 1.5), Math.max(part.y(low) - part.y(high), 1));
  part.to.globalAlpha = 1;
}

/* A session: throughput against the link, the level's bitrate, the buffer. */
function draw_video(lane, place, until, now, paint) {
  const rows = lane.rows, ladder = lane.head.ladder_kbps, high = (place.height - TOP - BOTTOM - 2 * GAP);
  const top_rate = round_up(Math.max(...rows.map(row => row[MBPS]), ...(lane.head.link || []).map(step => step[1]), 0.5));
  const rate = strip(place, TOP, high * 0.42, top_rate, until, paint);
  ground(lane, rate, top_rate, until, paint.link);
  for (const row of rows) box(rate, row[REQUEST], row[IN], 0, row[MBPS], by_policy(row) ? paint.bar : paint.other, 0.75);
  const highest = Math.max(ladder.length - 1, 1);
  const level = strip(place, TOP + high * 0.42 + GAP, high * 0.2, highest * 1.15, until, paint, highest);
  const steps = [];
  rows.forEach((row, index) => {
    const end = index + 1 < rows.length ? rows[index + 1][REQUEST] : Math.max(row[IN], now || 0);
    steps.push([row[REQUEST], row[LEVEL]], [end, row[LEVEL]]);
  });
  line(level, steps, paint.level);
  const full = Math.max(...rows.map(row => row[AFTER]), lane.head.chunk_s || 1);
  const buffer = strip(place, TOP + high * 0.62 + 2 * GAP, high * 0.38, round_up(full), until, paint);
  line(buffer, buffer_line(rows), paint.buffer);
  const stalls = rows.filter(row => row[STALL] > 0).map(row => [row[IN] - row[STALL], row[IN]]);
  const standing = standing_s(lane, now);
  if (standing) stalls.push([now - standing, now]);
  for (const [begin, end] of stalls) for (const part of [rate, buffer]) {
    part.to.globalAlpha = 0.6;
    part.to.fillStyle = paint.stall;
    part.to.fillRect(part.x(begin), part.top, Math.max(part.x(end) - part.x(begin), 2), part.bottom - part.top);
    part.to.globalAlpha = 1;
  }
  const last = rows[rows.length - 1];
  const reached = now ?? (lane.end ? lane.end.elapsed_s : null), empty = last ? last[IN] + last[AFTER] : 0;
  if (last && reached !== null && reached > last[IN])
    line(buffer, [[last[IN], last[AFTER]], [Math.min(reached, empty), drained(last, reached)], [reached, drained(last, reached)]], paint.buffer, [2, 2]);
  named(rate, "Mbit/s", paint);
  named(level, "level", paint);
  named(buffer, "buffer, s", paint);
}

/* Up when a chunk comes in, down by a second a second until then, and flat while it is empty. */
function buffer_line(rows) {
  const points = [];
  rows.forEach((row, index) => {
    const before = index ? drained(rows[index - 1], row[IN]) : 0;
    if (index && before === 0) points.push([rows[index - 1][IN] + rows[index - 1][AFTER], 0]);
    points.push([row[IN], before], [row[IN], row[AFTER]]);
  });
  return points;
}

const drained = (row, at) => Math.max(row[AFTER] - (at - row[IN]), 0);

/* A call: the rate decided and what came, against the link; the delay. */
function draw_call(lane, place, until, now, paint) {
  const decided = lane.rows.filter(row => row[0] === "d"), seconds = lane.rows.filter(row => row[0] === "s");
  const high = place.height - TOP - BOTTOM - GAP;
  const top_rate = round_up(Math.max(...decided.map(row => row[2]), ...seconds.map(row => row[2]), 0.3) * 1.25);
  const rate = strip(place, TOP, high * 0.6, top_rate, until, paint);
  ground(lane, rate, top_rate, until, paint.link);
  for (const row of seconds) box(rate, row[1] - 1, row[1], 0, row[2], paint.bar, 0.55);
  line(rate, decided.map(row => [row[1], row[2]]), paint.level);
  for (const row of decided) if (row[3] === "fallback" || row[3] === "guard") box(rate, row[1], row[1] + 0.2, 0, row[2], paint.other, 0.6);
  const most = Math.max(...seconds.map(row => row[4] || 0), 100);
  const delay = strip(place, TOP + high * 0.6 + GAP, high * 0.4, round_up(most), until, paint);
  for (const row of seconds) {
    for (const [begin, end] of row[6]) box(delay, begin, end, 0, most * 9, paint.stall, 0.6);
    if (row[4] !== null) box(delay, row[1] - 1, row[1], row[3], row[4], paint.buffer, 0.35);
  }
  line(delay, seconds.filter(row => row[3] !== null).map(row => [row[1] - 0.5, row[3]]), paint.buffer);
  named(rate, "Mbit/s", paint);
  named(delay, "one-way delay, ms", paint);
}
