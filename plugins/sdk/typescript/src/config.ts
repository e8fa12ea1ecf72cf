/** Settings: `[config]` of the manifest, with the operator's over them. */

import { get } from "wasi:config/store@0.2.0-rc.1";
import { told } from "./host.js";

const read = told("config", get);

export const config = {
  /** The value of a key; null where there is none or it was not granted. */
  get: (key: string): string | null => read(key),

  /** The same as a number; `otherwise` where there is none. */
  number(key: string, otherwise: number): number {
    const text = read(key);
    if (text === null) return otherwise;
    const value = Number(text);
    if (text.trim() === "" || Number.isNaN(value)) throw new TypeError(`\`${key}\` is not a number: \`${text}\``);
    return value;
  },
};
