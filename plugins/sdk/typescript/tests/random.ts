/** Random input that is the same in every run. */

let state = 42;

/** A number below `end`. */
export function below(end: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 0x100000000) * end);
}

/** Bytes, many of them such as UTF-8 has. */
export function bytes(most: number): Uint8Array {
  const kinds = [() => below(128), () => below(256), () => 0x80 + below(64), () => 0xc2 + below(51)];
  return Uint8Array.from({ length: below(most) }, () => kinds[below(kinds.length)]!());
}
