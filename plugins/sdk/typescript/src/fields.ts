/** Names with values, in order: header fields, what a query says. */

/** A name may come several times. */
export class Fields implements Iterable<[string, string]> {
  private readonly pairs: [string, string][];

  constructor(pairs: [string, string][]) {
    this.pairs = pairs;
  }

  /** The first value of a name. */
  get(name: string): string | null {
    return this.pairs.find(([key]) => key === name)?.[1] ?? null;
  }

  /** All values of a name. */
  all(name: string): string[] {
    return this.pairs.filter(([key]) => key === name).map(([, value]) => value);
  }

  has(name: string): boolean {
    return this.pairs.some(([key]) => key === name);
  }

  [Symbol.iterator](): Iterator<[string, string]> {
    return this.pairs[Symbol.iterator]();
  }
}

/** The decoded pairs of a query or a form. */
export function formPairs(text: string | null): [string, string][] {
  if (text === null || text === "") return [];
  const parts = text.split("&").filter((part) => part !== "");
  return parts.map((part) => {
    const at = part.indexOf("=");
    return at < 0 ? [plain(part), ""] : [plain(part.slice(0, at)), plain(part.slice(at + 1))];
  });
}

function plain(text: string): string {
  const spaced = text.replaceAll("+", " ");
  try {
    return decodeURIComponent(spaced);
  } catch {
    // As much of it as can be read.
    return spaced.replace(/(?:%[0-9a-f]{2})+/gi, (found) => {
      try {
        return decodeURIComponent(found);
      } catch {
        return "\ufffd";
      }
    });
  }
}
