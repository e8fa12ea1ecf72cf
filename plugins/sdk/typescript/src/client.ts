/** Asking other hosts, those in `[needs.http] hosts`. */

import * as wit from "trellis:http/client@0.1.0";
import { Fields } from "./fields.js";
import { HostError, told } from "./host.js";
import { bytesOf, decode } from "./text.js";

/** A request to another host. */
export interface ClientRequest {
  /** `GET` without it. */
  method?: string;
  url: string;
  headers?: { [name: string]: string };
  body?: string | Uint8Array;
  /** The longest wait for the whole answer; without it what is left of `[limits] timeout`. */
  timeoutMs?: number;
}

/** Its answer, whatever its status. */
export class ClientResponse {
  readonly status: number;
  readonly headers: Fields;
  readonly body: Uint8Array;

  constructor(response: wit.Response) {
    this.status = response.status;
    this.headers = new Fields(response.headers);
    this.body = response.body;
  }

  text(): string {
    return decode(this.body);
  }

  json<T = unknown>(): T {
    return JSON.parse(this.text()) as T;
  }
}

const send = told("http", wit.send);
const sendAll = told("http", wit.sendAll);

function toWit(request: ClientRequest): wit.Request {
  const { method = "GET", url, headers = {}, body = "", timeoutMs = null } = request;
  return { method, url, headers: Object.entries(headers), body: bytesOf(body), timeoutMs };
}

export const client = {
  /** Send a request and wait for its answer. A redirect is an answer like any other. */
  send: (request: ClientRequest): ClientResponse => new ClientResponse(send(toWit(request))),

  /** Send many at once, at most 64; each comes to an answer or to an error, in order. */
  sendAll: (requests: readonly ClientRequest[]): (ClientResponse | HostError)[] =>
    sendAll(requests.map(toWit)).map((answer) =>
      answer.tag === "ok" ? new ClientResponse(answer.val) : new HostError("http", answer.val),
    ),
};
