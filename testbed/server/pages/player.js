// dash.js on the origin's page: for a person who watches, and for a session that is measured.
//
// A person opens /player/?video=PATH_OF_MPD. A measured session calls streambed.prepare(options), then
// streambed.begin(begins); what happens is told to `streambedTell`, a function that the browser's driver added,
// as JSON with `what` and `at` (performance.now(), ms). Nothing is computed here that can be computed there.
"use strict";

const streambed = (() => {
  const video = document.getElementById("video");
  const STATE_PERIOD_MS = 250;
  // Of a live stream, how long before a chunk can be asked for our policy is asked: dash.js may look a moment later.
  const ASKED_AHEAD_MS = 50;
  let player, options, manifest, levels = 0;
  let beginsMs = null; // of a live stream
  let begun = false, over = false;
  let startedAt = null, stalledAt = null, stallMs = 0;
  let chunk = 0, level = null, lastBytes = 0;
  const asked = new Map();   // chunk: level that the bridge answered
  const requested = new Map(); // chunk: what was known when it was requested

  const now = () => performance.now();
  const tell = (what, facts) => window.streambedTell(JSON.stringify({ what, at: now(), ...facts }));
  const stalledMs = () => stallMs + (stalledAt === null ? 0 : now() - stalledAt);

  function bufferedMs() {
    const at = video.currentTime;
    for (let i = 0; i < video.buffered.length; i++) {
      if (video.buffered.start(i) <= at + 0.1 && at <= video.buffered.end(i)) {
        return 1000 * (video.buffered.end(i) - at);
      }
    }
    return 0;
  }

  function fail(outcome, reason) {
    if (!over) {
      over = true;
      tell("failed", { outcome, reason, ...totals() });
    }
  }

  const totals = () => ({
    startup_ms: startedAt, stall_ms: stalledMs(),
    played_ms: options.live ? null : 1000 * video.currentTime, // (live is not played at its own pace)
  });

  // How far behind a live stream's making what is shown is.
  const latency = () => options.live ? { latency_s: (Date.now() - beginsMs) / 1000 - video.currentTime } : {};

  // What the bridge decides, at the moment at which dash.js asks its rules: once a chunk. The call waits for the
  // answer, as nothing may be requested before; playback goes on meanwhile.
  function askedLevel() {
    if (!asked.has(chunk)) {
      const request = new XMLHttpRequest();
      request.open("POST", options.decide, false);
      request.send(JSON.stringify({ chunk, at: now(), buffer_ms: bufferedMs(), stall_ms: stalledMs(),
        ...latency() }));
      if (request.status !== 200) {
        fail("player-error", `the bridge answered ${request.status}`);
      }
      asked.set(chunk, JSON.parse(request.responseText).level);
    }
    return asked.get(chunk);
  }

  // Whether the next chunk can be asked for, or will be in a moment.
  const nearlyThere = () => !options.live
    || Date.now() + ASKED_AHEAD_MS >= streambedLive.availableMs(options.live, beginsMs, chunk);

  function AskingRule() {
    const SwitchRequest = dashjs.FactoryMaker.getClassFactoryByName("SwitchRequest");
    const context = this.context;
    return {
      getSwitchRequest(rulesContext) {
        const answer = SwitchRequest(context).create();
        if (rulesContext.getMediaType() !== "video" || chunk >= options.chunks || !nearlyThere()) {
          return answer;
        }
        const wanted = askedLevel();
        const offered = rulesContext.getAbrController()
          .getPossibleVoRepresentationsFilteredBySettings(rulesContext.getMediaInfo(), true);
        answer.representation = offered.find((one) => one.absoluteIndex === wanted);
        answer.priority = SwitchRequest.PRIORITY.STRONG;
        answer.reason = { bridge: true };
        return answer;
      },
    };
  }
  AskingRule.__dashjs_factory_name = "AskingRule";

  const isChunk = (request) => request && request.type === "MediaSegment" && request.mediaType === "video";

  // A resource's times as the browser's network stack has them, finer than dash.js's dates; those where it has none.
  function times(request) {
    const entries = performance.getEntriesByName(request.url);
    const entry = entries[entries.length - 1];
    if (entry && entry.responseEnd > 0 && entry.requestStart > 0) {
      return { sent: entry.requestStart, first: entry.responseStart, last: entry.responseEnd, by: "browser" };
    }
    const since = (date) => date.getTime() - performance.timeOrigin;
    const first = request.firstByteDate || request.endDate;
    return { sent: since(request.startDate), first: since(first), last: since(request.endDate), by: "dashjs" };
  }

  function onLoadingStarted(event) {
    if (isChunk(event.request)) {
      level = event.request.representation.absoluteIndex;
      requested.set(event.request.index, { buffer_before_ms: bufferedMs(), began: now() });
    }
  }

  function onLoaded(event) {
    const request = event.request;
    if (!isChunk(request)) {
      return;
    }
    if (event.error) {
      return; // dash.js tries again, and says so when it gives up
    }
    chunk = request.index + 1;
    const came = streambedLive.arrival(request.url);
    lastBytes = came ? came.bytes : request.bytesLoaded;
    const before = requested.get(request.index);
    before.facts = {
      chunk: request.index, level: request.representation.absoluteIndex, url: request.url,
      size_bytes: came ? came.bytes : event.response ? event.response.byteLength : request.bytesTotal,
      ...(came ? { busy_ms: came.busy_ms, busy_bytes: came.busy_bytes } : {}), headers: headersOf(request.url),
      buffer_before_ms: before.buffer_before_ms, ...times(request),
    };
  }

  function headersOf(url) {
    const all = player.getDashMetrics().getHttpRequests("video").filter((one) => one.url === url);
    return all.length ? all[all.length - 1]._responseHeaders : "";
  }

  function onAppended(event) {
    const done = requested.get(event.index);
    if (event.mediaType === "video" && done && done.facts) {
      tell("chunk", { ...done.facts, buffer_after_ms: bufferedMs(), stall_ms: stalledMs(), appended: now(),
        ...latency() });
      delete done.facts;
    }
  }

  function onAbandoned(event) {
    if (isChunk(event.request)) {
      const { index, representation, bytesLoaded } = event.request;
      tell("abandoned", { chunk: index, level: representation.absoluteIndex, bytes: bytesLoaded || 0 });
    }
  }

  function onPlaying() {
    if (startedAt === null) {
      startedAt = now();
      tell("started", {});
    }
    if (stalledAt !== null) {
      stallMs += now() - stalledAt;
      stalledAt = null;
    }
  }

  function onWaiting() {
    if (begun && startedAt !== null && stalledAt === null && !video.ended) {
      stalledAt = now();
    }
  }

  // By which protocol segments came: name in ALPN, and how many.
  function protocols() {
    const found = {};
    for (const entry of performance.getEntriesByType("resource")) {
      if (/\.(m4s|mp4)$/.test(new URL(entry.name).pathname)) {
        found[entry.nextHopProtocol] = (found[entry.nextHopProtocol] || 0) + 1;
      }
    }
    return found;
  }

  function onEnded() {
    if (over) {
      return;
    }
    over = true;
    const requests = player.getDashMetrics().getHttpRequests("video")
      .filter((one) => one.type === "MediaSegment" || one.type === "InitializationSegment")
      .map((one) => ({ url: one.url, status: one.responsecode, type: one.type }));
    tell("ended", { ...totals(), requests, protocols: protocols(), frames: video.getVideoPlaybackQuality().totalVideoFrames,
      dropped: video.getVideoPlaybackQuality().droppedVideoFrames });
  }

  function state() {
    if (over) {
      return;
    }
    const phase = startedAt === null ? "startup" : stalledAt !== null ? "stalled" : "playing";
    tell("state", { phase, chunk: Math.min(chunk, options.chunks - 1), level, buffer_ms: bufferedMs(),
      stall_ms: stalledMs(), bytes: lastBytes });
  }

  function listen() {
    const on = (name, call) => player.on(name, call);
    const events = dashjs.MediaPlayer.events;
    on(events.FRAGMENT_LOADING_STARTED, onLoadingStarted);
    on(events.FRAGMENT_LOADING_COMPLETED, onLoaded);
    on(events.FRAGMENT_LOADING_ABANDONED, onAbandoned);
    on("bytesAppendedEndFragment", onAppended);
    on(events.ERROR, (event) => fail(dashOutcome(event.error), `dash.js: ${event.error.message || event.error}`));
    video.addEventListener("playing", onPlaying);
    video.addEventListener("waiting", onWaiting);
    video.addEventListener("ended", onEnded);
    video.addEventListener("error", () => fail("player-error", `the video element: ${video.error.message}`));
    window.addEventListener("error", (event) => fail("player-error", `the page: ${event.message}`));
  }

  // 11: the manifest; 15, 16, 17, 27, 28: something that was asked of the origin (dash.js's Errors).
  const dashOutcome = (error) => [11, 15, 16, 17, 25, 27, 28].includes(error.code) ? "origin-error" : "player-error";

  // Cut to the asked number of chunks, as a whole number of segments of the first Representation.
  function cut(parsed) {
    const set = parsed.Period[0].AdaptationSet[0];
    const representation = set.Representation[0];
    const template = representation.SegmentTemplate || set.SegmentTemplate;
    levels = set.Representation.length;
    const length = options.chunks * template.duration / template.timescale;
    parsed.mediaPresentationDuration = Math.min(parsed.mediaPresentationDuration, length);
    return `video/mp4; codecs="${representation.codecs}"`;
  }

  // Read the manifest and set everything up, without a request for media. Gives what was found, or throws a text.
  function prepare(asOptions) {
    options = asOptions;
    if (typeof dashjs === "undefined") {
      return Promise.reject(new Error("dash.js is not on the origin's page"));
    }
    performance.setResourceTimingBufferSize(100000);
    if (options.live && options.live.ahead_s > 0) {
      streambedLive.watch();
    }
    player = dashjs.MediaPlayer().create();
    player.initialize(video, null, true);
    player.updateSettings(options.settings);
    if (options.decide) {
      player.addABRCustomRule("qualitySwitchRules", "AskingRule", dashjs.FactoryMaker.getClassFactory(AskingRule));
    }
    listen();
    return new Promise((resolve, reject) => {
      player.retrieveManifest(options.mpd, (parsed, error) => {
        if (error || !parsed) {
          reject(new Error(`the manifest: ${error ? error.message || error : "nothing came"}`));
          return;
        }
        manifest = parsed;
        const kind = cut(parsed);
        if (!MediaSource.isTypeSupported(kind)) {
          reject(new Error(`this browser plays no ${kind}`));
          return;
        }
        const protocol = performance.getEntriesByType("navigation")[0].nextHopProtocol;
        resolve({ version: player.getVersion(), agent: navigator.userAgent, kind, levels, protocol });
      });
    });
  }

  // Play. Gives the time, by performance.now(), at which it began.
  function begin(begins) {
    const at = now();
    begun = true;
    if (options.live) {
      beginsMs = begins;
      streambedLive.move(manifest, begins);
    }
    if (options.decide) {
      // dash.js takes its first segment without asking its rules, of the level nearest to a bitrate.
      const first = options.ladder_kbps[askedLevel()];
      player.updateSettings({ streaming: { abr: { initialBitrate: { video: first } } } });
    }
    player.attachSource(manifest);
    setInterval(state, STATE_PERIOD_MS);
    return at;
  }

  // For a person.
  async function watch() {
    const list = document.getElementById("videos");
    const paths = (await (await fetch("/", { headers: { Accept: "text/plain" } })).text()).split("\n");
    for (const address of paths.filter((one) => one.includes("://"))) {
      const path = new URL(address).pathname;
      const item = list.appendChild(document.createElement("li"));
      const link = item.appendChild(document.createElement("a"));
      link.textContent = path;
      link.href = `?video=${encodeURIComponent(path)}`;
    }
    const wanted = new URLSearchParams(location.search).get("video");
    const facts = document.getElementById("facts");
    if (wanted === null || typeof dashjs === "undefined") {
      facts.textContent = wanted === null ? "Choose a video:" : "dash.js is not installed on the origin.";
      return;
    }
    video.controls = true;
    player = dashjs.MediaPlayer().create();
    player.initialize(video, new URL(wanted, location.origin).href, true);
    player.on(dashjs.MediaPlayer.events.ERROR, (event) => { facts.textContent = event.error.message; });
    setInterval(() => {
      const shown = player.getCurrentRepresentationForType("video");
      const rate = shown ? `${(shown.bandwidth / 1e6).toFixed(2)} Mbit/s` : "";
      facts.textContent = `${wanted}: buffer ${(bufferedMs() / 1000).toFixed(1)} s ${rate}`;
    }, 1000);
  }

  return { prepare, begin, watch, now };
})();

if (typeof window.streambedTell === "undefined") {
  streambed.watch();
}
