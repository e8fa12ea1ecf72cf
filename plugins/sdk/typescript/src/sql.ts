/** SQL in the plugin's own database. Needs `[needs.sql]`. */

import * as wit from "trellis:storage/sql@0.1.0";
import { told } from "./host.js";

/** A column of a row. Integers beyond 2^53 are rounded: select those as TEXT. */
export type Value = null | boolean | number | string | Uint8Array;
/** A parameter; `undefined` is null. */
export type Param = Value | bigint | undefined;
/** A row by the names of its columns. */
export type Row = { [column: string]: Value };
/** A statement with its parameters, `$1`, `$2` and so on. */
export type Statement = [sql: string, ...params: Param[]] | { sql: string; params?: readonly Param[] };

/** What both the database and a transaction can do. */
export interface Queries {
  /** Run one statement and collect its rows. */
  query<R = Row>(sql: string, params?: readonly Param[]): R[];
  /** Run one statement; the number of rows it changed. */
  execute(sql: string, params?: readonly Param[]): number;
}

const dialect = told("sql", wit.dialect);
const query = told("sql", wit.query);
const execute = told("sql", wit.execute);
const batch = told("sql", wit.batch);
const begin = told("sql", () => wit.Transaction.begin());

export const sql = {
  /** Which database stands behind, and so which dialect it speaks. */
  dialect: (): "sqlite" | "postgres" => dialect(),

  query: <R = Row>(text: string, params: readonly Param[] = []): R[] => rows(query(text, params.map(toWit))) as R[],

  execute: (text: string, params: readonly Param[] = []): number => execute(text, params.map(toWit)),

  /** Run statements in one transaction, all or none; the rows each one changed. At most 10,000. */
  batch: (statements: readonly Statement[]): number[] => batch(statements.map(statement)),

  /**
   * Run a transaction over several calls: committed when the function returns, rolled back when it throws. After
   * a `conflict` the whole may be run again.
   */
  transaction<T>(work: (transaction: Queries) => T): T {
    const open = begin();
    let isOver = false;
    const end = (how: () => void): void => {
      isOver = true;
      told("sql", how)();
    };
    try {
      const result = work(queriesOf(open));
      if (typeof (result as { then?: unknown } | null)?.then === "function") {
        throw new TypeError("the work of a transaction must not be async");
      }
      end(() => open.commit());
      return result;
    } finally {
      if (!isOver) end(() => open.rollback());
      open[Symbol.dispose]?.();
    }
  },
};

function queriesOf(open: wit.Transaction): Queries {
  return {
    query: <R = Row>(text: string, params: readonly Param[] = []): R[] =>
      rows(told("sql", () => open.query(text, params.map(toWit)))()) as R[],
    execute: (text, params = []) => told("sql", () => open.execute(text, params.map(toWit)))(),
  };
}

function statement(it: Statement): { sql: string; params: wit.Value[] } {
  if ("sql" in it) return { sql: it.sql, params: (it.params ?? []).map(toWit) };
  const [text, ...params] = it;
  return { sql: text, params: params.map(toWit) };
}

function toWit(param: Param): wit.Value {
  if (param == null) return { tag: "null" };
  switch (typeof param) {
    case "boolean":
      return { tag: "boolean", val: param };
    case "string":
      return { tag: "text", val: param };
    case "number":
      return { tag: Number.isSafeInteger(param) ? "integer" : "real", val: param };
    case "bigint":
      if (BigInt.asIntN(54, param) !== param) throw new RangeError(`${param} is beyond 2^53: pass it as text`);
      return { tag: "integer", val: Number(param) };
    default:
      if (param instanceof Uint8Array) return { tag: "blob", val: param };
      throw new TypeError(`a parameter cannot be ${JSON.stringify(param)}`);
  }
}

function rows(found: wit.Rows): Row[] {
  return found.rows.map((values) => {
    const row: Row = {};
    found.columns.forEach((column, at) => (row[column] = fromWit(values[at])));
    return row;
  });
}

function fromWit(value: wit.Value | undefined): Value {
  return value === undefined || value.tag === "null" ? null : value.val;
}
