/**
 * UTF-8 without a codec of the engine: QuickJS has neither `TextDecoder` nor `TextEncoder`, and a loop over
 * bytes costs 50 ns each there. Its base64 is native, so bytes go through that at 5 ns each.
 */

/** Half a pair, which no encoding has. */
const LONE = /\p{Surrogate}/gu;
const NOT_ASCII = /[^\x00-\x7f]/;
/** `String.fromCharCode` takes its bytes as arguments, which stand on a stack. */
const PIECE = 4096;

interface Base64 {
  toBase64?(): string;
}
const fromBase64 = (Uint8Array as unknown as { fromBase64?(text: string): Uint8Array }).fromBase64;

/** Each byte as the character of that number. */
export function latin1(bytes: Uint8Array): string {
  const native = bytes as Base64;
  if (native.toBase64 !== undefined) return atob(native.toBase64());
  let text = "";
  for (let at = 0; at < bytes.length; at += PIECE) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + PIECE) as unknown as number[]);
  }
  return text;
}

/** The bytes of a text whose characters are all below 256. */
function bytesOfLatin1(text: string): Uint8Array {
  if (fromBase64 !== undefined) return fromBase64.call(Uint8Array, btoa(text));
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** The text of bytes in UTF-8; what is none becomes U+FFFD. */
export function decode(bytes: Uint8Array): string {
  return fromLatin1(latin1(bytes));
}

/** The text whose UTF-8 was read as {@link latin1}. */
export function fromLatin1(text: string): string {
  if (!NOT_ASCII.test(text)) return text;
  try {
    return decodeURIComponent(escape(text));
  } catch {
    return repaired(text);
  }
}

/** Well-formed UTF-8, or one byte that begins none. */
const SEQUENCE =
  /[\x00-\x7f]+|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[^]/g;

function repaired(text: string): string {
  return text.replace(SEQUENCE, (found) => {
    if (!NOT_ASCII.test(found)) return found;
    return found.length === 1 ? "\ufffd" : decodeURIComponent(escape(found));
  });
}

/** The UTF-8 of a text; half a surrogate pair becomes U+FFFD. */
export function encode(text: string): Uint8Array {
  if (!NOT_ASCII.test(text)) return bytesOfLatin1(text);
  return bytesOfLatin1(unescape(encodeURIComponent(text.replace(LONE, "\ufffd"))));
}

/** Bytes as they are, a text as UTF-8. */
export function bytesOf(value: string | Uint8Array): Uint8Array {
  return typeof value === "string" ? encode(value) : value;
}
