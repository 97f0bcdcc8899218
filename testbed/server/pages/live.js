// A live stream on the origin's page: moved to the moment at which a session wants it to have begun, and how the
// parts of a chunk come that is sent as it is made.
//
// A part ends with its `mdat` (ISO/IEC 14496-12). How fast a link is can be told by a part's bytes from its first
// to its last one, its first ones left out: the chunk's own download takes as long as the chunk's making.
"use strict";

const streambedLive = (() => {
  const MOVING = "urn:x-streambed:live-begins-ms:1";
  const HEADER = 8;
  const arrivals = new Map(); // URL: what came of its body

  // Reads the sizes and kinds of boxes as bytes pass, whatever pieces they come in.
  function boxes(ended) {
    let left = 0, kind = "", header = [];
    return (bytes) => {
      let at = 0;
      while (at < bytes.length) {
        if (left > 0) {
          const step = Math.min(left, bytes.length - at);
          left -= step;
          at += step;
        } else {
          header.push(bytes[at++]);
          if (header.length === HEADER) {
            left = ((header[0] << 24 >>> 0) + (header[1] << 16) + (header[2] << 8) + header[3]) - HEADER;
            kind = String.fromCharCode(...header.slice(4));
            header = [];
          }
        }
        if (left <= 0 && header.length === 0) {
          ended(kind, at);
        }
      }
    };
  }

  function arrival() {
    const found = { bytes: 0, busy_ms: 0, busy_bytes: 0 };
    let first = null, last = 0, sinceFirst = 0;
    const endOfPart = () => {
      if (first !== null) {
        found.busy_ms += last - first;
        found.busy_bytes += sinceFirst;
      }
      first = null;
    };
    const read = boxes((kind) => { if (kind === "mdat") { endOfPart(); } });
    found.take = (bytes) => {
      const now = performance.now();
      found.bytes += bytes.length;
      if (first === null) {
        [first, sinceFirst] = [now, 0];
      } else {
        sinceFirst += bytes.length;
      }
      last = now;
      read(bytes);
    };
    return found;
  }

  function watched(response) {
    const mine = arrival();
    arrivals.set(response.url, mine);
    const through = new TransformStream({
      transform(bytes, to) { mine.take(bytes); to.enqueue(bytes); },
    });
    const { status, statusText, headers } = response;
    const seen = new Response(response.body.pipeThrough(through), { status, statusText, headers });
    Object.defineProperty(seen, "url", { value: response.url });
    return seen;
  }

  // Have the bodies of segments watched that are fetched from now on.
  function watch() {
    const plain = window.fetch.bind(window);
    window.fetch = (...words) => plain(...words).then(
      (response) => response.ok && response.body && response.url.endsWith(".m4s") ? watched(response) : response);
  }

  const listed = (one) => one === undefined ? [] : Array.isArray(one) ? one : [one];

  // Let a manifest say that its stream began at another time, where its URLs may say one.
  function move(manifest, beginsMs) {
    if (!listed(manifest.SupplementalProperty).some((one) => one.schemeIdUri === MOVING)) {
      return;
    }
    manifest.availabilityStartTime = new Date(beginsMs);
    manifest.publishTime = new Date(beginsMs);
    const set = manifest.Period[0].AdaptationSet[0];
    const templates = new Set([set, ...set.Representation].map((one) => one.SegmentTemplate).filter(Boolean));
    for (const template of templates) {
      for (const name of ["media", "initialization"]) {
        template[name] = template[name].replace(/^[0-9]+\//, `${beginsMs}/`);
      }
    }
  }

  // When chunk `number` can first be asked for, Unix ms.
  const availableMs = (live, beginsMs, number) => beginsMs + 1000 * ((number + 1) * live.chunk_s - live.ahead_s);

  return { watch, move, availableMs, arrival: (url) => arrivals.get(url) };
})();
