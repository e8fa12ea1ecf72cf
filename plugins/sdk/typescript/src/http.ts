/** Answering HTTP requests: views over the packed handler's bytes. */

import { Fields, formPairs } from "./fields.js";
import { log } from "./log.js";
import { settle } from "./promise.js";
import { bytesOf, decode, encode, fromLatin1, latin1 } from "./text.js";
import { Reader, Writer } from "./wire.js";
import { type Start, startText } from "./frames.js";

/** A request that has been read completely and matches a route of this plugin. */
export class Request {
  /** In upper case, `GET`. */
  readonly method: string;
  /** What the client used, also behind a trusted proxy. */
  readonly scheme: "http" | "https";
  /** Without the port, in lower case. */
  readonly host: string;
  /** As it was sent, percent-encoded, starting with `/`. */
  readonly path: string;
  /** What follows `?`, still encoded; null without a `?`. */
  readonly queryText: string | null;
  readonly clientIp: string;
  /** Identifies the request in the log and in `x-request-id`. */
  readonly id: string;
  /** When the host had read the head, in milliseconds since 1970-01-01 UTC. */
  readonly timeMs: number;
  /** The whole body. */
  readonly body: Uint8Array;

  private readonly head: string;
  private readonly rest: Reader;
  private readonly paramCount: number;
  private readonly headerCount: number;
  private kept: { params?: Record<string, string>; headersAt?: number; headers?: Fields; query?: Fields } = {};

  constructor(head: Uint8Array, body: Uint8Array) {
    const reader = new Reader(head);
    reader.version();
    const flags = reader.u8("flags");
    this.scheme = (flags & 1) !== 0 ? "https" : "http";
    this.paramCount = reader.u16("number of params");
    this.headerCount = reader.u32("number of headers");
    this.timeMs = reader.u64("time");
    this.head = latin1(head);
    this.method = this.read(reader, "method");
    this.host = this.read(reader, "host");
    this.path = this.read(reader, "path");
    const query = this.read(reader, "query");
    this.queryText = (flags & 2) !== 0 ? query : null;
    this.clientIp = this.read(reader, "client ip");
    this.id = this.read(reader, "request id");
    this.rest = reader;
    this.body = body;
  }

  /** What the route's `{name}` and `{*name}` matched, percent-decoded. */
  get params(): Record<string, string> {
    this.kept.params ??= this.readParams();
    return this.kept.params;
  }

  /** The header fields; names are in lower case. */
  get headers(): Fields {
    this.kept.headers ??= this.readHeaders();
    return this.kept.headers;
  }

  /** What the query says, decoded. */
  get query(): Fields {
    this.kept.query ??= new Fields(formPairs(this.queryText));
    return this.kept.query;
  }

  /** The body as text. */
  text(): string {
    return decode(this.body);
  }

  /** The body read as JSON; what is none is answered with 400. */
  json<T = unknown>(): T {
    try {
      return JSON.parse(decode(this.body)) as T;
    } catch (error) {
      throw new HttpError(400, `the body is not JSON: ${(error as Error).message}`);
    }
  }

  /** The pairs of a body of the type `application/x-www-form-urlencoded`. */
  form(): Fields {
    return new Fields(formPairs(decode(this.body)));
  }

  private read(reader: Reader, what: string): string {
    const at = reader.skip(what);
    return fromLatin1(this.head.slice(at, reader.at));
  }

  private pairs(count: number, reader: Reader): [string, string][] {
    const pairs: [string, string][] = [];
    for (let left = count; left > 0; left--) pairs.push([this.read(reader, "name"), this.read(reader, "value")]);
    return pairs;
  }

  private readParams(): Record<string, string> {
    const reader = this.rest.from(this.rest.at);
    const params = Object.fromEntries(this.pairs(this.paramCount, reader));
    this.kept.headersAt = reader.at;
    return params;
  }

  private readHeaders(): Fields {
    this.kept.params ??= this.readParams();
    return new Fields(this.pairs(this.headerCount, this.rest.from(this.kept.headersAt ?? this.rest.at)));
  }
}

/** Header fields of an answer; a name may have several values. */
export type Headers = Record<string, string | string[]>;

/** What an answer is besides its body. */
export interface Init {
  /** 200 to 599; 200 without it. */
  status?: number;
  headers?: Headers;
}

/** The answer to a request. */
export class Response {
  status: number;
  headers: Headers;
  body: Uint8Array;

  constructor(body: string | Uint8Array = "", init: Init = {}) {
    this.status = init.status ?? 200;
    this.headers = init.headers ?? {};
    this.body = bytesOf(body);
  }
}

/** An answer with one more header field, unless it is given. */
function typed(type: string, body: string, init: Init = {}): Response {
  return new Response(body, { ...init, headers: { "content-type": type, ...init.headers } });
}

/** Answer with a value as JSON. */
export function json(value: unknown, init?: Init): Response {
  return typed("application/json", JSON.stringify(value) ?? "null", init);
}

/** Answer with a text. */
export function text(body: string, init?: Init): Response {
  return typed("text/plain; charset=utf-8", body, init);
}

/** Answer with a page. */
export function html(body: string, init?: Init): Response {
  return typed("text/html; charset=utf-8", body, init);
}

/** Send the client elsewhere, with 302 unless `init` says otherwise. */
export function redirect(location: string, init: Init = {}): Response {
  return new Response("", { status: 302, ...init, headers: { location, ...init.headers } });
}

/** Answer with a blob of this plugin, which the host sends; ranges and conditions are its own work. */
export function blob(container: string, key: string, init: Init = {}): Response {
  return new Response("", { ...init, headers: { "x-trellis-blob": `${container}/${key}`, ...init.headers } });
}

/** Answer with the frames of a channel, for as long as the client listens. */
export function channel(name: string, start: Start = "next", init: Init = {}): Response {
  const fields = { "x-trellis-channel": name, "x-trellis-start": startText(start) };
  return new Response("", { ...init, headers: { ...fields, ...init.headers } });
}

/** Thrown by a handler, it is an answer with this status and a text that the client may read. */
export class HttpError extends Error {
  override name = "HttpError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** What a handler may return. */
export type Answer = Response | string;

/** Answers requests. An exception is a 500, with its stack in the log. */
export type HttpHandler = (request: Request) => Answer | Promise<Answer>;

/** One call of the packed handler. */
export function serve(handler: HttpHandler, head: Uint8Array, body: Uint8Array): [Uint8Array, Uint8Array] {
  return packed(answer(handler, head, body));
}

function answer(handler: HttpHandler, head: Uint8Array, body: Uint8Array): Response {
  try {
    const answer = settle(handler(new Request(head, body)));
    if (answer instanceof Response) return answer;
    if (typeof answer === "string") return text(answer);
    throw new TypeError("the handler returned neither a response nor a text");
  } catch (error) {
    if (error instanceof HttpError) return text(error.message, { status: error.status });
    log.error("the request was answered with 500:", error);
    return text("internal error", { status: 500 });
  }
}

function packed(response: Response): [Uint8Array, Uint8Array] {
  const head = new Writer();
  head.u8(1);
  head.u8(0);
  head.u16(response.status);
  head.u32(0);
  let count = 0;
  for (const [name, values] of Object.entries(response.headers)) {
    const bytes = encode(name);
    for (const value of typeof values === "string" ? [values] : values) {
      head.slice(bytes);
      head.str(String(value));
      count++;
    }
  }
  head.patch(4, count);
  return [head.done(), response.body];
}
