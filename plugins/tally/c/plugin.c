/* Counts the events of a topic by their type, exactly once, and answers with the counts. */
#include <stdlib.h>
#include <string.h>

#include "trellis.h"

/* A batch has at most so many types, see plugin.toml. */
#define MOST 1000

typedef struct {
  trellis_bytes type;
  int64_t events;
} count;

static int by_type(const void *left, const void *right) {
  trellis_bytes a = ((const count *)left)->type, b = ((const count *)right)->type;
  int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
  return order ? order : (a.size > b.size) - (a.size < b.size);
}

/* Bring equal types together; how many there are. */
static size_t merge(count *counts, size_t size) {
  qsort(counts, size, sizeof *counts, by_type);
  size_t last = 0;
  for (size_t at = 1; at < size; at++) {
    if (by_type(&counts[last], &counts[at]) == 0) {
      counts[last].events += counts[at].events;
    } else {
      counts[++last] = counts[at];
    }
  }
  return size ? last + 1 : 0;
}

static bool store(const count *counts, size_t size) {
  trellis_statement *statements = trellis_alloc(size * sizeof *statements);
  trellis_value(*params)[2] = trellis_alloc(size * sizeof *params);
  for (size_t at = 0; at < size; at++) {
    params[at][0] = trellis_string(counts[at].type);
    params[at][1] = trellis_integer(counts[at].events);
    statements[at] = (trellis_statement){
        "INSERT INTO tally (type, events) VALUES ($1, $2) "
        "ON CONFLICT (type) DO UPDATE SET events = tally.events + excluded.events",
        params[at], 2};
  }
  return trellis_sql_batch(statements, size);
}

/* Those before the first message that is no event are stored; that one is put aside. */
trellis_outcome trellis_on_batch(trellis_batch *batch) {
  count *counts = trellis_alloc(MOST * sizeof *counts);
  size_t size = 0;
  trellis_outcome outcome = trellis_done();
  for (trellis_message message; size < MOST && trellis_next(batch, &message);) {
    trellis_bytes type = trellis_json_text(message.value, "type");
    if (!type.size) {
      outcome = trellis_dead_letter(message.index, "an event is an object with a `type`");
      break;
    }
    counts[size++] = (count){type, 1};
  }
  return store(counts, merge(counts, size)) ? outcome : trellis_retry(0, trellis_error());
}

/* All counts: {"w":3}. */
trellis_response trellis_on_request(const trellis_request *request) {
  trellis_rows rows;
  trellis_statement all = {"SELECT type, events FROM tally ORDER BY type", NULL, 0};
  if (!trellis_sql_query(all, &rows)) {
    trellis_log(TRELLIS_ERROR, "%s", trellis_error());
    return trellis_text(500, trellis_str("internal error"));
  }
  trellis_bytes *members = trellis_alloc(rows.row_count * sizeof *members);
  size_t size = 2;
  for (size_t row = 0; row < rows.row_count; row++) {
    trellis_bytes type = trellis_json_quote(trellis_cell(&rows, row, "type").bytes);
    long long events = trellis_cell(&rows, row, "events").integer;
    members[row] = trellis_format("%s%.*s:%lld", row ? "," : "", TRELLIS_ARG(type), events);
    size += members[row].size;
  }
  uint8_t *json = trellis_alloc(size), *out = json;
  *out++ = '{';
  for (size_t row = 0; row < rows.row_count; row++) {
    memcpy(out, members[row].data, members[row].size);
    out += members[row].size;
  }
  *out++ = '}';
  return trellis_json(200, (trellis_bytes){json, size});
}
