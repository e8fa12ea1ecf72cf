/** Being asked about connections: websockets, event streams, and answers that go on. */

import type { Connection, WitFrame, WitStart } from "trellis:streaming/types@0.1.0";
import { Fields, formPairs } from "./fields.js";
import { type Frame, type Start, fromWit, startOf, toWit } from "./frames.js";
import { log } from "./log.js";
import { settle } from "./promise.js";
import { bytesOf } from "./text.js";

export type { Connection } from "trellis:streaming/types@0.1.0";

/** Who knocks. */
export interface Knock {
  /** What the connection will be called if it is let in. */
  connection: Connection;
  transport: "websocket" | "event-stream" | "stream";
  host: string;
  path: string;
  /** What the query says, decoded. */
  query: Fields;
  params: Record<string, string>;
  headers: Fields;
  clientIp: string;
  id: string;
  timeMs: number;
  /** The subprotocols that a websocket offers, the most wanted first. */
  protocols: string[];
  /** The `last-event-id` of an event stream that comes back. */
  lastEvent: number | null;
}

/** How it is let in; all of it may be left out. */
export interface Welcome {
  headers?: Record<string, string>;
  /** One of `protocols`. */
  protocol?: string | null;
  /** Comes with each event of the connection; at most 4,096 bytes. */
  tag?: string;
  /** The channels that it hears from the beginning. */
  join?: Record<string, Start>;
  /** What it gets before anything else. */
  first?: Frame[];
  /** Put the channel's title among the bytes of a stream, after each so many. */
  icy?: number | null;
}

/** Thrown by `open`: the connection is not let in, and this is the answer. */
export class Refused extends Error {
  override name = "Refused";
  readonly status: number;
  readonly headers: Record<string, string>;

  constructor(status: number, body: string, headers: Record<string, string> = {}) {
    super(body);
    this.status = status;
    this.headers = headers;
  }
}

/** Something happened on a connection. */
export interface Happening {
  connection: Connection;
  /** The last one given to the connection. */
  tag: string;
}

/** What a plugin with connections decides. No connection belongs to an instance: its tag has what is known of it. */
export interface Connections {
  /** Whether a connection is let in, and how. */
  open(request: Knock): Welcome | Promise<Welcome>;
  /** The client sent a message. An exception is logged, and the next event comes. */
  message?(event: Happening & { frame: Frame }): void | Promise<void>;
  /** It has ended; nothing comes after this. */
  closed?(event: Happening & { code: number; reason: string }): void | Promise<void>;
}

type Pairs = [string, string][];
/** The same as the host tells it. */
export interface WitKnock extends Omit<Knock, "query" | "params" | "headers"> {
  query: string | null;
  params: Pairs;
  headers: Pairs;
}
export interface WitEvent extends Happening {
  what: { tag: "message"; val: WitFrame } | { tag: "closed"; val: { code: number; reason: string } };
}
interface WitAccepted {
  headers: Pairs;
  protocol: string | null;
  tag: string;
  join: [string, WitStart][];
  first: WitFrame[];
  icy: number | null;
}

/** One call of `open`. */
export function open(plugin: Connections, request: WitKnock): WitAccepted {
  try {
    const knock = {
      ...request,
      query: new Fields(formPairs(request.query)),
      params: Object.fromEntries(request.params),
      headers: new Fields(request.headers),
    };
    return accepted(settle(plugin.open(knock)));
  } catch (error) {
    throw refused(error);
  }
}

function accepted(welcome: Welcome): WitAccepted {
  return {
    headers: Object.entries(welcome.headers ?? {}),
    protocol: welcome.protocol ?? null,
    tag: welcome.tag ?? "",
    join: Object.entries(welcome.join ?? {}).map(([channel, start]) => [channel, startOf(start)]),
    first: (welcome.first ?? []).map(toWit),
    icy: welcome.icy ?? null,
  };
}

function refused(error: unknown) {
  const type: [string, string] = ["content-type", "text/plain; charset=utf-8"];
  if (error instanceof Refused) {
    const headers = Object.entries(error.headers);
    return { status: error.status, headers: [type, ...headers], body: bytesOf(error.message) };
  }
  log.error("the connection was refused with 500:", error);
  return { status: 500, headers: [type], body: bytesOf("internal error") };
}

/** One call of `events`. */
export function events(plugin: Connections, batch: WitEvent[]): void {
  for (const { connection, tag, what } of batch) {
    try {
      if (what.tag === "message") {
        settle(plugin.message?.({ connection, tag, frame: fromWit(what.val) }));
      } else {
        settle(plugin.closed?.({ connection, tag, ...what.val }));
      }
    } catch (error) {
      log.error("an event of a connection failed:", error);
    }
  }
}
