/**
 * The host's interfaces as the engine shows them to modules: functions in camelCase, `option` as a value or
 * null, `result` as a value or an exception whose `payload` is the error, `u64` and `s64` as numbers.
 * The modules beside this one are what plugins use. What each function means is told in the WIT.
 */

declare module "wasi:logging/logging@0.1.0-draft" {
  export type Level = "trace" | "debug" | "info" | "warn" | "error" | "critical";
  export function log(level: Level, context: string, message: string): void;
}

declare module "wasi:random/random@0.2.12" {
  export function getRandomBytes(length: number): Uint8Array;
}

declare module "wasi:config/store@0.2.0-rc.1" {
  export function get(key: string): string | null;
  export function getAll(): [string, string][];
}

declare module "wasi:keyvalue/store@0.2.0-draft2" {
  export class Bucket {
    get(key: string): Uint8Array | null;
    set(key: string, value: Uint8Array): void;
    delete(key: string): void;
    exists(key: string): boolean;
    listKeys(cursor: string | null): { keys: string[]; cursor: string | null };
  }
  export function open(name: string): Bucket;
}

declare module "wasi:keyvalue/atomics@0.2.0-draft2" {
  import type { Bucket } from "wasi:keyvalue/store@0.2.0-draft2";
  export class Cas {
    static new(bucket: Bucket, key: string): Cas;
    current(): Uint8Array | null;
    [Symbol.dispose](): void;
  }
  export function increment(bucket: Bucket, key: string, delta: number): number;
  export function swap(cas: Cas, value: Uint8Array): void;
}

declare module "wasi:keyvalue/batch@0.2.0-draft2" {
  import type { Bucket } from "wasi:keyvalue/store@0.2.0-draft2";
  export function getMany(bucket: Bucket, keys: string[]): ([string, Uint8Array] | null)[];
  export function setMany(bucket: Bucket, pairs: [string, Uint8Array][]): void;
  export function deleteMany(bucket: Bucket, keys: string[]): void;
}

declare module "trellis:plugin/metrics@0.1.0" {
  type Labels = [string, string][];
  export function count(name: string, labels: Labels, by: number): void;
  export function gauge(name: string, labels: Labels, value: number): void;
  export function observe(name: string, labels: Labels, value: number): void;
}

declare module "trellis:plugin/geoip@0.1.0" {
  export interface Location {
    country: string | null;
    city: string | null;
    latitude: number | null;
    longitude: number | null;
  }
  export function lookup(ip: string): Location | null;
  export function lookupMany(ips: string[]): (Location | null)[];
}

declare module "trellis:kafka/packed-producer@0.1.0" {
  export interface Rejected {
    index: number;
    error: { tag: string; val?: unknown };
  }
  export function send(records: Uint8Array): Rejected[];
  export function sendAhead(records: Uint8Array): Rejected[];
}

declare module "trellis:http/client@0.1.0" {
  export interface Request {
    method: string;
    url: string;
    headers: [string, string][];
    body: Uint8Array;
    timeoutMs: number | null;
  }
  export interface Response {
    status: number;
    headers: [string, string][];
    body: Uint8Array;
  }
  type Answer = { tag: "ok"; val: Response } | { tag: "err"; val: { tag: string; val?: unknown } };
  export function send(request: Request): Response;
  export function sendAll(requests: Request[]): Answer[];
}

declare module "trellis:storage/sql@0.1.0" {
  export type Value =
    | { tag: "null" }
    | { tag: "boolean"; val: boolean }
    | { tag: "integer"; val: number }
    | { tag: "real"; val: number }
    | { tag: "text"; val: string }
    | { tag: "blob"; val: Uint8Array };
  export interface Rows {
    columns: string[];
    rows: Value[][];
  }
  export class Transaction {
    static begin(): Transaction;
    query(sql: string, params: Value[]): Rows;
    execute(sql: string, params: Value[]): number;
    commit(): void;
    rollback(): void;
    [Symbol.dispose](): void;
  }
  export function dialect(): "sqlite" | "postgres";
  export function query(sql: string, params: Value[]): Rows;
  export function execute(sql: string, params: Value[]): number;
  export function batch(statements: { sql: string; params: Value[] }[]): number[];
}

declare module "trellis:storage/cache@0.1.0" {
  type Claimed = { tag: "value"; val: Uint8Array } | { tag: "yours"; val: Claim } | { tag: "taken" };
  export class Claim {
    static take(key: string, lease: number, wait: number): Claimed;
    fill(value: Uint8Array, ttl: number): void;
    [Symbol.dispose](): void;
  }
  export function get(key: string): Uint8Array | null;
  export function set(key: string, value: Uint8Array, ttl: number): void;
  export function add(key: string, value: Uint8Array, ttl: number): boolean;
  function delete_(key: string): void;
  export { delete_ as delete };
}

declare module "trellis:storage/blobs@0.1.0" {
  export interface Info {
    size: number;
    etag: string;
    modifiedMs: number;
    contentType: string | null;
  }
  export interface Blob {
    info: Info;
    body: Uint8Array;
  }
  export interface Entry {
    key: string;
    info: Info;
  }
  export function put(container: string, key: string, body: Uint8Array, contentType: string | null): Info;
  export function append(container: string, key: string, bytes: Uint8Array): Info;
  export function get(container: string, key: string): Blob | null;
  export function read(container: string, key: string, offset: number, length: number): Uint8Array | null;
  export function head(container: string, key: string): Info | null;
  export function list(container: string, prefix: string, after: string | null, most: number): Entry[];
  function delete_(container: string, key: string): void;
  export { delete_ as delete };
  export function copy(container: string, key: string, toContainer: string, toKey: string): Info | null;
}

declare module "trellis:streaming/channels@0.1.0" {
  import type { Connection, WitFrame, WitStart } from "trellis:streaming/types@0.1.0";
  export function publish(channel: string, frame: WitFrame): void;
  export function join(connection: Connection, channel: string, start: WitStart): void;
  export function leave(connection: Connection, channel: string): void;
  export function send(connection: Connection, frame: WitFrame): void;
  export function close(connection: Connection, code: number, reason: string): void;
  export function retag(connection: Connection, tag: string): void;
  export function tag(connection: Connection): string | null;
  export function buffered(connection: Connection): number;
  export function title(channel: string, title: string): void;
  export function listeners(channel: string): number;
  export function recent(channel: string, most: number): WitFrame[];
}

declare module "trellis:streaming/presence@0.1.0" {
  import type { Connection } from "trellis:streaming/types@0.1.0";
  export interface Shown {
    connection: Connection;
    key: string;
    meta: string;
  }
  export function show(connection: Connection, channel: string, key: string, meta: string): void;
  export function hide(connection: Connection, channel: string): void;
  export function who(channel: string): Shown[];
}

declare module "trellis:streaming/mailboxes@0.1.0" {
  import type { Connection, WitFrame } from "trellis:streaming/types@0.1.0";
  export function open(tag: string, idle: number): Connection;
  export function read(connection: Connection, most: number, wait: number): WitFrame[] | null;
}

declare module "trellis:streaming/types@0.1.0" {
  export type Connection = number;
  export type WitFrame = { tag: "text"; val: string } | { tag: "binary"; val: Uint8Array };
  export type WitStart =
    | { tag: "next" }
    | { tag: "after"; val: number }
    | { tag: "recent"; val: number }
    | { tag: "burst"; val: number };
}
