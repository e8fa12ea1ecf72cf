/**
 * Keeps the tables of counts within a bound: addresses and searches have no end.
 *
 * To look costs a pass over the table, so an instance looks after its first batch and then once for every tenth of
 * the bound that it wrote in keys. A table that is larger loses its smallest counts, down to nine tenths.
 */

import { config, log, sql } from "trellis";
import type { Table } from "./store";

/** The most rows of a table unless the configuration says otherwise. */
const USUAL_ROWS = 100_000;

/** Keys that this instance wrote to each table since it looked. */
const written = new Map<Table, number>();

/** Drop the smallest counts of a table that has grown too large, in the transaction of the batch. */
export function keep(table: Table, keys: number): void {
  const most = config.number("max-rows", USUAL_ROWS) || USUAL_ROWS;
  const sum = (written.get(table) ?? Infinity) + keys;
  const isDue = keys > 0 && sum >= most / 10;
  written.set(table, isDue ? 0 : sum);
  if (isDue) prune(table, most);
}

function prune(table: Table, most: number): void {
  const [found] = sql.query<{ rows: number }>(`SELECT COUNT(*) AS rows FROM ${table}`);
  const rows = found?.rows ?? 0;
  if (rows <= most) return;
  const extra = rows - Math.floor(most * 0.9);
  const smallest = `SELECT key FROM ${table} ORDER BY value, key LIMIT $1`;
  const dropped = sql.execute(`DELETE FROM ${table} WHERE key IN (${smallest})`, [extra]);
  log.info(`\`${table}\` had ${rows} rows; the ${dropped} smallest counts are dropped`);
}
