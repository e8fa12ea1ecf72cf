/** All that a plugin can be and use, in TypeScript: see everything.rs. */

import {
  HostError, Refused, type Reply, blob, blobs, cache, channels, client, config, keyvalue, mailboxes, metrics, plugin,
  presence, sql, text,
} from "trellis";

let state = "";
let began = "";

const latin = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const said = (value: Uint8Array | null): string => (value === null ? "none" : latin(value));

const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

function kind(work: () => unknown): string {
  try {
    work();
    return "nothing";
  } catch (error) {
    return error instanceof HostError ? error.kind : String(error);
  }
}

const insert = "INSERT INTO notes VALUES ($1)";
const count = "SELECT count(*) AS n FROM notes";
const counted = () => sql.query(count)[0]?.n;

const uses: { [what: string]: () => string } = {
  config: () => `${config.get("greeting")} ${config.get("missing") ?? "none"}`,

  keyvalue() {
    const words = keyvalue.open("words");
    // However often it is opened, the host keeps one open.
    for (let times = 0; times < 30_000; times++) keyvalue.open("words");
    const first = words.text("a") ?? "none";
    words.set("a", "1");
    words.update("a", (value) => {
      // Somebody else is faster.
      if (said(value) === "1") words.set("a", "2");
      return `${said(value)}x`;
    });
    const changed = words.text("a");
    words.increment("n", 2);
    const number = words.increment("n", 3);
    const keys = [...words.keys()].sort().join();
    words.delete("a");
    words.setMany({ b: "bee", c: "sea" });
    const many = words.getMany(["b", "a", "c"]).filter((value) => value !== null);
    words.deleteMany(["b", "c"]);
    const gone = [said(words.get("a")), many.map(said).join(""), said(words.get("c"))];
    return `${first} ${changed} ${number} ${keys} ${gone.join(" ")}`;
  },

  cache() {
    const told = [said(cache.get("a"))];
    cache.set("a", "one", 60_000);
    told.push(said(cache.get("a")), String(cache.add("a", "two", 60_000)));
    cache.delete("a");
    told.push(said(cache.get("a")), String(cache.add("a", "two", 60_000)), said(cache.get("a")));
    told.push(...["made", "again"].map((made) => said(cache.remember("page", 60_000, () => made))));
    const mine = cache.remember("raced", 60_000, () => {
      cache.set("raced", "other", 60_000);
      return "mine";
    });
    told.push(said(mine), said(cache.get("raced")));
    return told.join(" ");
  },

  blobs() {
    blobs.put("files", "a", "one", "text/plain");
    blobs.append("files", "a", "two");
    blobs.put("files", "b", "from the host", "text/plain");
    const [whole, part] = [said(blobs.get("files", "a")?.body ?? null), said(blobs.read("files", "a", 3, 9))];
    const listed = [...blobs.list("files")].map(({ key, info }) => `${key}:${info.size}`).join();
    blobs.delete("files", "a");
    const gone = blobs.get("files", "a") === null ? "none" : "there";
    return `${whole} ${part} ${listed} ${gone} ${kind(() => blobs.put("elsewhere", "a", ""))}`;
  },

  sql() {
    const told: unknown[] = [sql.execute(insert, ["milk"])];
    kind(() =>
      sql.transaction((tx) => {
        tx.execute(insert, ["bread"]);
        told.push(tx.query(count)[0]?.n);
        throw new Error("not so");
      }),
    );
    told.push(counted());
    sql.transaction((tx) => tx.execute(insert, ["bread"]));
    told.push(counted(), kind(() => sql.batch([[insert, "salt"], [insert, "milk"]])), counted());
    const values = [-5, 1.5, "ü", new Uint8Array([0, 255]), null];
    const [row] = sql.query("SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e", values);
    const bytes = row?.d instanceof Uint8Array ? hex(row.d) : "?";
    told.push(row?.a, row?.b, row?.c, bytes, row?.e === null ? "null" : "?");
    return told.join(" ");
  },

  presence() {
    const shown = () => presence.who("desk").map(({ key, meta }) => `${key}:${meta}`).join() || "nobody";
    const box = mailboxes.open("box", 60_000);
    channels.join(box, "desk");
    presence.show(box, "desk", "ada", "away");
    const there = shown();
    presence.hide(box, "desk");
    channels.publish("desk", "a note");
    channels.publish("desk", new Uint8Array([0, 255]));
    const frames = mailboxes.read(box, 9, 1000) ?? [];
    const told = frames.map((frame) => (typeof frame === "string" ? frame : hex(frame))).join(" ");
    const [count, kept] = [channels.listeners("desk"), channels.recent("desk", 9).length];
    return `${channels.tag(box)} ${there} ${shown()} ${told} ${count} ${kept}`;
  },

  metrics() {
    metrics.count("visits", { who: "ada" }, 2);
    metrics.gauge("level", 1.5);
    metrics.observe("took_seconds", 0.25);
    return "counted";
  },
};

function ask(where: string): string {
  const here = { method: "POST", url: `http://${where}/echo`, headers: { "x-asked": "yes" }, body: "ping" };
  const [answer, refused] = client.sendAll([here, { url: "http://elsewhere.invalid/" }]);
  const again = client.send(here).status;
  if (answer === undefined || answer instanceof Error) return String(answer);
  if (!(refused instanceof HostError)) return "it was granted";
  const header = answer.headers.get("x-answer");
  return `${answer.status} ${header} ${answer.text()} ${refused.kind.replace("-", " ")} ${again}`;
}

// A connection over TCP.
let connection = 0;
let lines = 0;
let rest = "";

function obey(line: string, reply: Reply & { send: string }): void {
  switch (line) {
    case "wake":
      reply.wakeMs = 10;
      break;
    case "drain":
      reply.send += `${"x".repeat(100_000)}\n`;
      reply.tellDrained = true;
      break;
    case "join":
      channels.join(connection, "room");
      reply.send += "joined\n";
      break;
    case "fall":
      throw new Error("asked to fall");
    case "bye":
      reply.send += "bye\n";
      reply.close = "asked";
      break;
    default:
      reply.send += `${lines} ${line}\n`;
  }
}

export default plugin({
  http(request) {
    const what = request.params.what ?? "";
    const use = uses[what];
    if (use) return text(use());
    switch (what) {
      case "ask":
        return ask(request.query.get("where") ?? "");
      case "file":
        return blob("files", "b");
      case "publish":
        channels.publish("room", request.text());
        break;
      case "fail":
        keyvalue.open().set("fail", "yes");
        break;
      case "state":
        if (request.method === "POST") state = request.text();
        return text(`${began} ${state}`);
      case "runs":
      case "closed":
        return text(keyvalue.open().text(what) ?? "none");
    }
    return "done";
  },

  connections: {
    open(request) {
      const who = request.params.who ?? "";
      if (who === "nobody") throw new Refused(403, "not you");
      return { tag: who, join: { room: { recent: 10 } }, first: [`welcome ${who}`] };
    },
    message({ connection, tag, frame }) {
      if (typeof frame !== "string") {
        channels.send(connection, frame);
      } else if (frame.startsWith("rename ")) {
        const name = frame.slice("rename ".length);
        channels.retag(connection, name);
        channels.send(connection, `you are ${name}`);
      } else if (frame === "leave") {
        channels.leave(connection, "room");
        channels.send(connection, "you left");
      } else if (frame === "bye") {
        channels.close(connection, 1000, "asked");
      } else {
        channels.publish("room", `${tag}: ${frame}`);
      }
    },
    closed({ tag, code }) {
      keyvalue.open().set("closed", `${tag} ${code}`);
    },
  },

  socket: {
    open(arrival) {
      connection = arrival.connection;
      return { send: `hello ${arrival.listener}\n` };
    },
    data(bytes) {
      const parts = (rest + latin(bytes)).split("\n");
      rest = parts.pop() ?? "";
      const reply = { send: "" };
      for (const line of parts) {
        lines += 1;
        obey(line, reply);
      }
      return reply;
    },
    drained: () => ({ send: "drained\n" }),
    woken: () => ({ send: "woken\n" }),
    closed(reason) {
      keyvalue.open().set("closed", `${lines} ${reason}`);
    },
    save: () => new TextEncoder().encode(`${lines} ${rest}`),
    restore(arrival, saved) {
      const text = latin(saved);
      const end = text.indexOf(" ");
      connection = arrival.connection;
      [lines, rest] = [Number(text.slice(0, end)), text.slice(end + 1)];
    },
  },

  job(job) {
    const store = keyvalue.open();
    if (store.exists("fail")) throw new Error("asked to fail");
    store.increment(job.name === "tick" ? "runs" : "others");
  },

  lifecycle: {
    start(saved) {
      if (saved !== null && latin(saved) === "refuse") throw new Error("asked to refuse");
      began = saved === null ? "fresh" : "swapped";
      state = saved === null ? "" : latin(saved);
    },
    save: () => new TextEncoder().encode(state),
    stop() {
      console.log("stopped with", state);
    },
  },
});
