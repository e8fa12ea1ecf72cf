/** The statistics over HTTP: a list of them, and for each its description, its page, its data. */

import { HttpError, type Request, type Response, html, json, text } from "trellis";
import { WINDOW_MS } from "./counts";
import page from "./page.html";
import { type Table, largest, progress, window } from "./store";

/** How many rows the data has unless `limit` says otherwise, and the most it may have. */
const USUAL_ROWS = 10_000;
const MAX_ROWS = 100_000;
/** How far back the average of `stats` looks. */
const AVERAGE_MS = 60_000;

/** A statistic as it describes itself. */
interface Statistic {
  name: Table | "stats";
  description: string;
  column: [string, string];
  legend: string;
}

const STATISTICS: Statistic[] = [
  {
    name: "event_counter",
    description: "How often each event happened, by its type and action.",
    column: ["event", "count"],
    legend: "events",
  },
  {
    name: "metadata",
    description: "Where events came from: nodes, addresses and countries.",
    column: ["origin", "count"],
    legend: "events",
  },
  {
    name: "search_counter",
    description: "What people looked for before they made an offer.",
    column: ["text", "count"],
    legend: "previews",
  },
  {
    name: "stats",
    description: "How events flow: the delay in milliseconds, events a second, and all events.",
    column: ["measure", "value"],
    legend: "measured every 5 seconds",
  },
];

/** Answer one request. */
export function answer(request: Request): Response {
  if (request.method !== "GET" && request.method !== "HEAD") return text("send GET", { status: 405, headers: { allow: "GET, HEAD" } });
  const { name, view } = request.params;
  if (name === undefined) return list(request);
  const statistic = STATISTICS.find((statistic) => statistic.name === name);
  if (statistic === undefined) throw new HttpError(404, `there is no statistic \`${name}\``);
  switch (view) {
    case "json":
      return json(statistic);
    case "page":
      return html(page);
    case "data":
      return json(data(statistic, request), { headers: { "cache-control": "no-store" } });
    default:
      throw new HttpError(404, "a statistic has `json`, `page` and `data`");
  }
}

function list(request: Request): Response {
  if (!request.headers.get("accept")?.includes("text/html")) return json(STATISTICS);
  const links = STATISTICS.map(({ name, description }) => `<dt><a href="consumers/${name}/page">${name}</a><dd>${description}`);
  return html(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Consumers</title>
<style>:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif } body { max-width: 44rem; margin: 3rem auto; padding: 0 1rem }</style>
<h1>Consumers</h1><dl>${links.join("")}</dl></html>`);
}

function data({ name }: Statistic, request: Request): { data: [string, number][]; lastupdate: number } {
  const { events, updated_ms: lastupdate } = progress();
  return { data: name === "stats" ? flow(events, request.timeMs) : largest(name, limit(request)), lastupdate };
}

function limit(request: Request): number {
  const given = request.query.get("limit");
  if (given === null) return USUAL_ROWS;
  const limit = /^\d{1,6}$/.test(given) ? Number(given) : 0;
  if (limit < 1 || limit > MAX_ROWS) throw new HttpError(400, `\`limit\` is a number from 1 to ${MAX_ROWS}`);
  return limit;
}

/** The mean delay in the newest two windows, the events a second in the last minute, all events. */
function flow(total: number, nowMs: number): [string, number][] {
  const recent = window(nowMs - 2 * WINDOW_MS, nowMs + 1);
  const minute = window(nowMs - AVERAGE_MS, nowMs + 1);
  return [
    ["lag", mean(recent.lagMs, recent.events)],
    ["average", mean(minute.events * 1_000, AVERAGE_MS)],
    ["total", total],
  ];
}

/** A quotient to two digits; nothing of nothing is 0. */
function mean(sum: number, count: number): number {
  return Math.round((sum * 100) / Math.max(count, 1)) / 100;
}
