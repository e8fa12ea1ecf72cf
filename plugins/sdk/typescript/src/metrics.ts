/** Numbers for the host's `/metrics`. */

import * as wit from "trellis:plugin/metrics@0.1.0";
import { told } from "./host.js";

/** Names and values that tell series of one name apart. */
export type Labels = { [name: string]: string };

const count = told("metrics", wit.count);
const gauge = told("metrics", wit.gauge);
const observe = told("metrics", wit.observe);

export const metrics = {
  /** Add to a counter. */
  count: (name: string, labels: Labels = {}, by = 1): void => count(name, Object.entries(labels), by),
  /** Set a gauge. */
  gauge: (name: string, value: number, labels: Labels = {}): void => gauge(name, Object.entries(labels), value),
  /** Record one observation in a histogram; seconds and bytes are the units to use. */
  observe: (name: string, value: number, labels: Labels = {}): void => observe(name, Object.entries(labels), value),
};
