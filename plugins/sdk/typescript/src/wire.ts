/** The packed layouts of the hot contracts: little endian, texts and bytes behind their length. */

import { encode, fromLatin1, latin1 } from "./text.js";

/** The version of every layout. */
export const VERSION = 1;
/** The length that stands for null. */
const NULL = 0xffffffff;

/** Bytes that are not what their layout says. */
export class Malformed extends Error {
  override name = "Malformed";
  constructor(at: string) {
    super(`the packed bytes do not follow their layout at the ${at}`);
  }
}

/** Walks over packed bytes, and never beyond them. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at = 0;
  readonly end: number;

  constructor(bytes: Uint8Array, view?: DataView, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.view = view ?? new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
    this.end = end;
  }

  /** The same bytes from another place, up to `end`. */
  from(at: number, end = this.end): Reader {
    return new Reader(this.bytes, this.view, at, end);
  }

  version(): void {
    if (this.view.getUint8(this.pass(1, "version")) !== VERSION) throw new Malformed("version");
  }

  u8(what: string): number {
    return this.view.getUint8(this.pass(1, what));
  }

  u16(what: string): number {
    return this.view.getUint16(this.pass(2, what), true);
  }

  u32(what: string): number {
    return this.view.getUint32(this.pass(4, what), true);
  }

  /** Exact up to 2^53, which no offset and no time reaches. */
  u64(what: string): number {
    const at = this.pass(8, what);
    return this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * 0x100000000;
  }

  s64(what: string): number {
    const at = this.pass(8, what);
    return this.view.getUint32(at, true) + this.view.getInt32(at + 4, true) * 0x100000000;
  }

  /** Where the bytes of a length begin; the place is behind them then. */
  skip(what: string): number {
    return this.pass(this.u32(what), what);
  }

  slice(what: string): Uint8Array {
    const at = this.skip(what);
    return this.bytes.subarray(at, this.at);
  }

  optional(what: string): Uint8Array | null {
    const length = this.u32(what);
    if (length === NULL) return null;
    const at = this.pass(length, what);
    return this.bytes.subarray(at, this.at);
  }

  str(what: string): string {
    return fromLatin1(latin1(this.slice(what)));
  }

  /** Pass so many bytes; where they begin. */
  pass(length: number, what: string): number {
    const at = this.at;
    if (length > this.end - at) throw new Malformed(what);
    this.at = at + length;
    return at;
  }
}

/** Bytes that grow. */
export class Writer {
  private bytes: Uint8Array;
  private view: DataView;
  length = 0;

  constructor(room = 256) {
    this.bytes = new Uint8Array(room);
    this.view = new DataView(this.bytes.buffer);
  }

  u8(value: number): void {
    const at = this.grow(1);
    this.view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.grow(2);
    this.view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.grow(4);
    this.view.setUint32(at, value, true);
  }

  s64(value: number): void {
    const at = this.grow(8);
    this.view.setUint32(at, value >>> 0, true);
    this.view.setInt32(at + 4, Math.floor(value / 0x100000000), true);
  }

  raw(bytes: Uint8Array): void {
    const at = this.grow(bytes.length);
    this.bytes.set(bytes, at);
  }

  slice(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  optional(bytes: Uint8Array | null | undefined): void {
    if (bytes == null) this.u32(NULL);
    else this.slice(bytes);
  }

  str(text: string): void {
    this.slice(encode(text));
  }

  /** Write a number over what is at a place. */
  patch(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }

  /** What was written; the writer must not be used any more. */
  done(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  /** Make room; the place of it. Others are `bytes` and `view` then, so nobody may hold them meanwhile. */
  private grow(more: number): number {
    const at = this.length;
    const wanted = at + more;
    if (wanted > this.bytes.length) {
      const larger = new Uint8Array(Math.max(wanted, this.bytes.length * 2));
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    this.length = wanted;
    return at;
  }
}
