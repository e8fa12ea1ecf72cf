/** Calling the host: what it refuses becomes an exception with a name. */

import { isRunning } from "./log.js";

/** The host did not do what a capability was asked for. */
export class HostError extends Error {
  override name = "HostError";
  /** Which one: `sql`, `cache`. */
  readonly capability: string;
  /** The error's case in the WIT: `constraint`, `unavailable`, `not-granted`. */
  readonly kind: string;

  constructor(capability: string, error: unknown) {
    const { tag, val } = (typeof error === "object" && error !== null ? error : { tag: String(error) }) as {
      tag: string;
      val?: unknown;
    };
    super(`${capability}: ${tag}${val == null ? "" : `: ${String(val)}`}`);
    this.capability = capability;
    this.kind = tag;
  }
}

/** A function of the host whose errors are {@link HostError}s. */
export function told<A extends unknown[], R>(capability: string, f: (...args: A) => R): (...args: A) => R {
  return (...args) => {
    if (!isRunning()) {
      const what = `\`${capability}\` cannot be used at the top of a module`;
      throw new Error(`${what}: that runs when the plugin is built. Use it in a handler or in \`lifecycle.start\``);
    }
    try {
      return f(...args);
    } catch (error) {
      throw error instanceof Error && "payload" in error ? new HostError(capability, error.payload) : error;
    }
  };
}
