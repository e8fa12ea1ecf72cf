/** What there is beside the language itself, see `globals.ts`; and files that are imported as texts. */

interface Console {
  log(...parts: unknown[]): void;
  info(...parts: unknown[]): void;
  debug(...parts: unknown[]): void;
  trace(...parts: unknown[]): void;
  warn(...parts: unknown[]): void;
  error(...parts: unknown[]): void;
  dir(...parts: unknown[]): void;
  assert(condition: unknown, ...parts: unknown[]): void;
}
/** Writes lines for `trellis logs`. */
declare var console: Console;

declare class TextEncoder {
  readonly encoding: string;
  encode(text?: string): Uint8Array;
}
declare class TextDecoder {
  constructor(label?: string);
  readonly encoding: string;
  decode(bytes?: ArrayBuffer | ArrayBufferView): string;
}

interface Crypto {
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): string;
}
declare var crypto: Crypto;

/** Milliseconds since an instance began. */
declare var performance: { now(): number };
declare function queueMicrotask(task: () => void): void;
declare function atob(base64: string): string;
declare function btoa(latin1: string): string;

declare module "*.html" {
  const text: string;
  export default text;
}
declare module "*.css" {
  const text: string;
  export default text;
}
declare module "*.svg" {
  const text: string;
  export default text;
}
declare module "*.txt" {
  const text: string;
  export default text;
}
