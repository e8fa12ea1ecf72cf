/* SQL in the plugin's own database. */
#include "library.h"

trellis_value trellis_null(void) { return (trellis_value){.kind = TRELLIS_NULL}; }
trellis_value trellis_boolean(bool value) { return (trellis_value){.kind = TRELLIS_BOOLEAN, .boolean = value}; }
trellis_value trellis_integer(int64_t value) { return (trellis_value){.kind = TRELLIS_INTEGER, .integer = value}; }
trellis_value trellis_real(double value) { return (trellis_value){.kind = TRELLIS_REAL, .real = value}; }
trellis_value trellis_string(trellis_bytes text) { return (trellis_value){.kind = TRELLIS_TEXT, .bytes = text}; }
trellis_value trellis_binary(trellis_bytes bytes) { return (trellis_value){.kind = TRELLIS_BLOB, .bytes = bytes}; }

static trellis_storage_sql_value_t lower(trellis_value value) {
  trellis_storage_sql_value_t out = {.tag = (uint8_t)value.kind};
  switch (value.kind) {
    case TRELLIS_NULL: break;
    case TRELLIS_BOOLEAN: out.val.boolean = value.boolean; break;
    case TRELLIS_INTEGER: out.val.integer = value.integer; break;
    case TRELLIS_REAL: out.val.real = value.real; break;
    case TRELLIS_TEXT: out.val.text = to_string(value.bytes); break;
    case TRELLIS_BLOB: out.val.blob = to_list(value.bytes); break;
  }
  return out;
}

static trellis_value lift(const trellis_storage_sql_value_t *value) {
  switch (value->tag) {
    case TRELLIS_STORAGE_SQL_VALUE_BOOLEAN: return trellis_boolean(value->val.boolean);
    case TRELLIS_STORAGE_SQL_VALUE_INTEGER: return trellis_integer(value->val.integer);
    case TRELLIS_STORAGE_SQL_VALUE_REAL: return trellis_real(value->val.real);
    case TRELLIS_STORAGE_SQL_VALUE_TEXT: return trellis_string(from_string(value->val.text));
    case TRELLIS_STORAGE_SQL_VALUE_BLOB: return trellis_binary(from_list(value->val.blob));
    default: return trellis_null();
  }
}

static trellis_storage_sql_list_value_t values(const trellis_value *params, size_t count) {
  trellis_storage_sql_list_value_t list = {trellis_alloc(count * sizeof *list.ptr), count};
  for (size_t at = 0; at < count; at++) list.ptr[at] = lower(params[at]);
  return list;
}

static void lift_rows(const trellis_storage_sql_rows_t *from, trellis_rows *rows) {
  size_t columns = from->columns.len, count = from->rows.len;
  trellis_bytes *names = trellis_alloc(columns * sizeof *names);
  trellis_value *cells = trellis_alloc(columns * count * sizeof *cells);
  for (size_t at = 0; at < columns; at++) names[at] = from_string(from->columns.ptr[at]);
  for (size_t row = 0; row < count; row++) {
    for (size_t at = 0; at < columns; at++) {
      bool there = at < from->rows.ptr[row].len;
      cells[row * columns + at] = there ? lift(&from->rows.ptr[row].ptr[at]) : trellis_null();
    }
  }
  *rows = (trellis_rows){count, columns, names, cells};
}

trellis_value trellis_cell(const trellis_rows *rows, size_t row, const char *column) {
  for (size_t at = 0; row < rows->row_count && at < rows->column_count; at++) {
    if (trellis_is(rows->columns[at], column)) return rows->values[row * rows->column_count + at];
  }
  return trellis_null();
}

static bool fails(const trellis_storage_sql_error_t *error) {
  switch (error->tag) {
    case TRELLIS_STORAGE_SQL_ERROR_INVALID:
      return trellis_fails("the statement is invalid", from_string(error->val.invalid));
    case TRELLIS_STORAGE_SQL_ERROR_CONSTRAINT:
      return trellis_fails("a constraint is violated", from_string(error->val.constraint));
    case TRELLIS_STORAGE_SQL_ERROR_CONFLICT:
      return trellis_fails("another transaction came between: run it again", (trellis_bytes){0});
    case TRELLIS_STORAGE_SQL_ERROR_TOO_LARGE:
      return trellis_fails("the result is too large: ask for a page", (trellis_bytes){0});
    case TRELLIS_STORAGE_SQL_ERROR_UNAVAILABLE:
      return trellis_fails("the database is unavailable", from_string(error->val.unavailable));
    default:
      return trellis_fails("the transaction has ended", (trellis_bytes){0});
  }
}

bool trellis_sql_query(trellis_statement statement, trellis_rows *rows) {
  plugin_string_t sql = to_string(trellis_str(statement.sql));
  trellis_storage_sql_list_value_t params = values(statement.params, statement.count);
  trellis_storage_sql_rows_t found;
  trellis_storage_sql_error_t error;
  if (!trellis_storage_sql_query(&sql, &params, &found, &error)) return fails(&error);
  lift_rows(&found, rows);
  return true;
}

bool trellis_sql_execute(trellis_statement statement, uint64_t *changed) {
  plugin_string_t sql = to_string(trellis_str(statement.sql));
  trellis_storage_sql_list_value_t params = values(statement.params, statement.count);
  trellis_storage_sql_error_t error;
  uint64_t rows = 0;
  if (!trellis_storage_sql_execute(&sql, &params, &rows, &error)) return fails(&error);
  if (changed) *changed = rows;
  return true;
}

bool trellis_sql_batch(const trellis_statement *statements, size_t count) {
  trellis_storage_sql_list_statement_t list = {trellis_alloc(count * sizeof *list.ptr), count};
  for (size_t at = 0; at < count; at++) {
    list.ptr[at].sql = to_string(trellis_str(statements[at].sql));
    list.ptr[at].params = values(statements[at].params, statements[at].count);
  }
  plugin_list_u64_t changed;
  trellis_storage_sql_error_t error;
  return trellis_storage_sql_batch(&list, &changed, &error) || fails(&error);
}

/* Made of the number that our own handle holds; and what the host wants for a call on it. */
static trellis_storage_sql_own_transaction_t own(const trellis_transaction *transaction) {
  return (trellis_storage_sql_own_transaction_t){transaction->handle};
}

static trellis_storage_sql_borrow_transaction_t lent(const trellis_transaction *transaction) {
  return trellis_storage_sql_borrow_transaction(own(transaction));
}

bool trellis_begin(trellis_transaction *transaction) {
  trellis_storage_sql_own_transaction_t begun;
  trellis_storage_sql_error_t error;
  if (!trellis_storage_sql_static_transaction_begin(&begun, &error)) return fails(&error);
  transaction->handle = begun.__handle;
  return true;
}

bool trellis_transaction_query(trellis_transaction *transaction, trellis_statement statement, trellis_rows *rows) {
  plugin_string_t sql = to_string(trellis_str(statement.sql));
  trellis_storage_sql_list_value_t params = values(statement.params, statement.count);
  trellis_storage_sql_rows_t found;
  trellis_storage_sql_error_t error;
  bool done = trellis_storage_sql_method_transaction_query(lent(transaction), &sql, &params, &found, &error);
  if (!done) return fails(&error);
  lift_rows(&found, rows);
  return true;
}

bool trellis_transaction_execute(trellis_transaction *transaction, trellis_statement statement,
                                 uint64_t *changed) {
  plugin_string_t sql = to_string(trellis_str(statement.sql));
  trellis_storage_sql_list_value_t params = values(statement.params, statement.count);
  trellis_storage_sql_error_t error;
  uint64_t rows = 0;
  bool done = trellis_storage_sql_method_transaction_execute(lent(transaction), &sql, &params, &rows, &error);
  if (!done) return fails(&error);
  if (changed) *changed = rows;
  return true;
}

/* A transaction ends once; its handle is 0 from then on, which is none. */
static bool has_ended(const trellis_transaction *transaction) {
  if (transaction->handle) return false;
  trellis_fails("sql", trellis_str("the transaction has ended"));
  return true;
}

static void end(trellis_transaction *transaction) {
  trellis_storage_sql_transaction_drop_own(own(transaction));
  transaction->handle = 0;
}

bool trellis_commit(trellis_transaction *transaction) {
  trellis_storage_sql_error_t error;
  if (has_ended(transaction)) return false;
  bool done = trellis_storage_sql_method_transaction_commit(lent(transaction), &error) || fails(&error);
  end(transaction);
  return done;
}

bool trellis_rollback(trellis_transaction *transaction) {
  trellis_storage_sql_error_t error;
  if (has_ended(transaction)) return false;
  bool done = trellis_storage_sql_method_transaction_rollback(lent(transaction), &error) || fails(&error);
  end(transaction);
  return done;
}
