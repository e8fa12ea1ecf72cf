/** The guest library: what a plugin in TypeScript or JavaScript imports from "trellis". */

/// <reference path="./wit.d.ts" />
/// <reference path="./globals.d.ts" />
export { type Blob, type Entry, type Info, blobs } from "./blobs.js";
export { cache } from "./cache.js";
export { channels, mailboxes, presence } from "./channels.js";
export { type ClientRequest, ClientResponse, client } from "./client.js";
export { config } from "./config.js";
export { type Connection, type Connections, type Happening, type Knock, Refused, type Welcome } from "./connection.js";
export { Batch, type ConsumeHandler, Failure, Message, deadLetter, retry } from "./consumer.js";
export { Fields } from "./fields.js";
export type { Frame, Start } from "./frames.js";
export { type Location, geoip } from "./geoip.js";
export { HostError } from "./host.js";
export {
  type Answer, type Headers, HttpError, type HttpHandler, type Init, Request, Response, blob, channel, html, json,
  redirect, text,
} from "./http.js";
export { Store, keyvalue } from "./keyvalue.js";
export { log } from "./log.js";
export { type Labels, metrics } from "./metrics.js";
export { type Handlers, type Job, type Lifecycle, type Plugin, plugin } from "./plugin.js";
export { SendError, producer } from "./producer.js";
export type { Outgoing } from "./records.js";
export { type Arrival, type Reply, type Socket } from "./socket.js";
export { type Param, type Queries, type Row, type Statement, type Value, sql } from "./sql.js";
export { decode, encode } from "./text.js";
