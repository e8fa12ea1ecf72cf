/** The statistics in SQL; the statements are the same on SQLite and PostgreSQL. */

import { type Statement, sql } from "trellis";
import { keep } from "./bound";
import { type Count, type Counts, WINDOW_MS } from "./counts";

/** How many rows one statement takes. Few sizes, so that the database prepares each once. */
const SIZES = [128, 32, 8, 1];
/** How many windows are kept: an hour. */
const WINDOWS = 720;

const ADD_WINDOW = `
  INSERT INTO stats_window (slot, started_ms, events, lag_ms) VALUES ($1, $2, $3, $4)
  ON CONFLICT (slot) DO UPDATE SET
    events = excluded.events + CASE WHEN stats_window.started_ms = excluded.started_ms
      THEN stats_window.events ELSE 0 END,
    lag_ms = excluded.lag_ms + CASE WHEN stats_window.started_ms = excluded.started_ms
      THEN stats_window.lag_ms ELSE 0 END,
    started_ms = excluded.started_ms
  WHERE excluded.started_ms >= stats_window.started_ms`;

const ADD_PROGRESS = `
  INSERT INTO progress (id, events, updated_ms) VALUES (1, $1, $2)
  ON CONFLICT (id) DO UPDATE SET
    events = progress.events + excluded.events,
    updated_ms = CASE WHEN excluded.updated_ms > progress.updated_ms
      THEN excluded.updated_ms ELSE progress.updated_ms END`;

/** The tables that count by a key. */
export type Table = "event_counter" | "metadata" | "search_counter";

/** Add what a batch counted, in one call, and keep the tables within their bound. */
export function add(counts: Counts): void {
  if (counts.total === 0) return;
  const tables: [Table, Count[]][] = [
    ["event_counter", counts.of("events")],
    ["metadata", counts.of("metadata")],
    ["search_counter", counts.of("searches")],
  ];
  const statements = tables.flatMap(([table, rows]) => upserts(table, rows));
  for (const [number, { events, lagMs }] of [...counts.windows].sort(([a], [b]) => a - b)) {
    const slot = ((number % WINDOWS) + WINDOWS) % WINDOWS;
    statements.push([ADD_WINDOW, slot, number * WINDOW_MS, events, lagMs]);
  }
  statements.push([ADD_PROGRESS, counts.total, counts.updatedMs]);
  sql.batch(statements);
  for (const [table, rows] of tables) keep(table, rows.length);
}

/** The statements that add rows to a table, as many rows in each as one takes. */
function upserts(table: Table, rows: Count[]): Statement[] {
  const statements: Statement[] = [];
  let at = 0;
  for (const size of SIZES) {
    for (; rows.length - at >= size; at += size) {
      statements.push([upsert(table, size), ...rows.slice(at, at + size).flat()]);
    }
  }
  return statements;
}

function upsert(table: Table, rows: number): string {
  const places = Array.from({ length: rows }, (_, row) => `($${2 * row + 1}, $${2 * row + 2})`);
  const values = `INSERT INTO ${table} (key, value) VALUES ${places.join(", ")}`;
  return `${values} ON CONFLICT (key) DO UPDATE SET value = ${table}.value + excluded.value`;
}

/** The largest counts of a table. */
export function largest(table: Table, limit: number): Count[] {
  const text = `SELECT key, value FROM ${table} ORDER BY value DESC, key LIMIT $1`;
  return sql.query<{ key: string; value: number }>(text, [limit]).map(({ key, value }) => [key, value]);
}

/** The number of all events, and the time of the newest record in milliseconds. */
export function progress(): { events: number; updated_ms: number } {
  const [row] = sql.query<{ events: number; updated_ms: number }>("SELECT events, updated_ms FROM progress");
  return row ?? { events: 0, updated_ms: 0 };
}

/** The events and the sum of their delays in windows that started in a span of time. */
export function window(fromMs: number, toMs: number): { events: number; lagMs: number } {
  const text = "SELECT events, lag_ms FROM stats_window WHERE started_ms >= $1 AND started_ms < $2";
  const rows = sql.query<{ events: number; lag_ms: number }>(text, [fromMs, toMs]);
  const sum = (of: "events" | "lag_ms") => rows.reduce((sum, row) => sum + row[of], 0);
  return { events: sum("events"), lagMs: sum("lag_ms") };
}
