// Where the facts come from: reads, a stream that says when to read again, and polling where there is
// no stream. It says how the line stands.

const POLL_MS = 5000;
const SOON_MS = 700;
const PATIENCE_MS = 10000;

export async function read(path) {
  const aborted = AbortSignal.timeout(PATIENCE_MS);
  const response = await fetch(`/v1${path}`, { headers: { accept: "application/json" }, signal: aborted });
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.detail || response.statusText), { status: response.status });
  return body;
}

// All rows of something that comes in pages; `max` of them at most, and whether there are more.
export async function pages(path, name, max) {
  const rows = [];
  let next = 0;
  while (next !== null && rows.length < max) {
    const page = await read(`${path}?limit=1024&from=${next}`);
    rows.push(...page[name]);
    next = page.next;
  }
  return { rows, more: next !== null };
}

// Calls `refresh` when there is something new, one at a time, and `line` with how the line stands:
// "live", "polling" or "gone".
export class Follower {
  constructor(refresh, line) {
    this.refresh = refresh;
    this.line = line;
    this.stream = null;
    this.streams = false;
    this.busy = false;
    this.again = false;
    this.timer = null;
    setInterval(() => this.wake(), POLL_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.wake());
  }

  follow(structure) {
    this.stop();
    this.structure = structure;
    const stream = new EventSource(`/v1/structures/${encodeURIComponent(structure)}/events?detail=lsn`);
    const soon = () => this.soon();
    stream.addEventListener("snapshot", () => {
      this.streams = true;
      this.wake();
    });
    stream.addEventListener("changed", soon);
    stream.addEventListener("lagged", soon);
    stream.addEventListener("end", soon);
    stream.addEventListener("error", () => {
      this.streams = false;
      this.soon();
      // A browser that gave up does not come back by itself.
      if (stream.readyState === EventSource.CLOSED) this.retry = true;
    });
    this.stream = stream;
    this.wake();
  }

  stop() {
    this.stream?.close();
    this.stream = null;
    this.streams = false;
    this.retry = false;
  }

  soon() {
    if (this.timer === null) this.timer = setTimeout(() => this.wake(), SOON_MS);
  }

  async wake() {
    clearTimeout(this.timer);
    this.timer = null;
    if (!this.structure) return;
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    try {
      await this.refresh();
      this.line(this.streams ? "live" : "polling");
      if (this.retry) this.follow(this.structure);
    } catch (error) {
      this.line("gone", error);
    }
    this.busy = false;
    if (this.again) {
      this.again = false;
      this.soon();
    }
  }
}
