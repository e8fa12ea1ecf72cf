/* Every capability. */
#include <stdio.h>
#include <string.h>

#include "bindings/plugin.h"
#include "plugin.h"

#define TTL 60000

static trellis_bytes config(void) {
  trellis_bytes greeting = trellis_config("greeting"), missing = said(trellis_config("missing"));
  return trellis_format("%.*s %.*s", TRELLIS_ARG(greeting), TRELLIS_ARG(missing));
}

static trellis_bytes keyvalue(void) {
  trellis_store words;
  trellis_bytes key = trellis_str("a"), other = trellis_str("c"), first, changed, after, value, gone, cursor = {0};
  const trellis_bytes *keys;
  int64_t number;
  size_t count;
  need(trellis_store_open("words", &words));
  need(trellis_store_get(&words, key, &first));
  need(trellis_store_set(&words, key, trellis_str("2x")));
  need(trellis_store_get(&words, key, &changed));
  need(trellis_store_increment(&words, trellis_str("n"), 2, &number));
  need(trellis_store_increment(&words, trellis_str("n"), 3, &number));
  need(trellis_store_keys(&words, &cursor, &keys, &count));
  need(count == 2 && !cursor.data);
  bool sorted = trellis_is(keys[0], "a");
  need(trellis_store_delete(&words, key));
  need(trellis_store_get(&words, key, &after));
  need(trellis_store_set(&words, other, trellis_str("beesea")));
  need(trellis_store_get(&words, other, &value));
  need(trellis_store_delete(&words, other));
  need(trellis_store_get(&words, other, &gone));
  trellis_store_close(&words);
  return trellis_format("%.*s %.*s %lld %.*s,%.*s %.*s %.*s %.*s", TRELLIS_ARG(said(first)), TRELLIS_ARG(changed),
                        (long long)number, TRELLIS_ARG(keys[!sorted]), TRELLIS_ARG(keys[sorted]),
                        TRELLIS_ARG(said(after)), TRELLIS_ARG(value), TRELLIS_ARG(said(gone)));
}

static trellis_bytes cached(const char *key) {
  trellis_bytes value;
  need(trellis_cache_get(trellis_str(key), &value));
  return said(value);
}

/* The library has no function for this: it is the generated one's. */
static trellis_bytes remember(const char *name, const char *value, bool overtaken) {
  plugin_string_t key = {(uint8_t *)name, strlen(name)};
  trellis_storage_cache_claimed_t claimed;
  trellis_storage_cache_error_t error;
  need(trellis_storage_cache_static_claim_take(&key, TTL, 0, &claimed, &error));
  if (claimed.tag == TRELLIS_STORAGE_CACHE_CLAIMED_VALUE) {
    return (trellis_bytes){claimed.val.value.ptr, claimed.val.value.len};
  }
  plugin_list_u8_t bytes = {(uint8_t *)value, strlen(value)};
  trellis_storage_cache_own_claim_t claim = claimed.val.yours;
  if (overtaken) need(trellis_cache_set(trellis_str(name), trellis_str("other"), TTL));
  trellis_storage_cache_borrow_claim_t lent = trellis_storage_cache_borrow_claim(claim);
  bool filled = trellis_storage_cache_method_claim_fill(lent, &bytes, TTL, &error);
  need(filled != overtaken && (filled || error.tag == TRELLIS_STORAGE_CACHE_ERROR_LOST));
  trellis_storage_cache_claim_drop_own(claim);
  return trellis_str(value);
}

static trellis_bytes cache(void) {
  trellis_bytes key = trellis_str("a"), before = cached("a");
  bool first, second;
  need(trellis_cache_set(key, trellis_str("one"), TTL));
  trellis_bytes one = cached("a");
  need(trellis_cache_add(key, trellis_str("two"), TTL, &first));
  need(trellis_cache_delete(key));
  trellis_bytes gone = cached("a");
  need(trellis_cache_add(key, trellis_str("two"), TTL, &second));
  trellis_bytes made = remember("page", "made", false), again = remember("page", "again", false);
  trellis_bytes mine = remember("raced", "mine", true);
  return trellis_format("%.*s %.*s %s %.*s %s %.*s %.*s %.*s %.*s %.*s", TRELLIS_ARG(before), TRELLIS_ARG(one),
                        first ? "true" : "false", TRELLIS_ARG(gone), second ? "true" : "false",
                        TRELLIS_ARG(cached("a")), TRELLIS_ARG(made), TRELLIS_ARG(again), TRELLIS_ARG(mine),
                        TRELLIS_ARG(cached("raced")));
}

static trellis_bytes blobs(void) {
  trellis_bytes a = trellis_str("a"), whole, part, after, nothing = {0};
  const trellis_blob_entry *list;
  size_t count;
  need(trellis_blob_put("files", a, trellis_str("one"), "text/plain"));
  need(trellis_blob_append("files", a, trellis_str("two")));
  need(trellis_blob_put("files", trellis_str("b"), trellis_str("from the host"), "text/plain"));
  need(trellis_blob_get("files", a, &whole));
  need(trellis_blob_read("files", a, 3, 9, &part));
  need(trellis_blob_list("files", trellis_str(""), nothing, &list, &count));
  need(count == 2 && trellis_is(list[0].content_type, "text/plain"));
  need(trellis_blob_delete("files", a));
  need(trellis_blob_get("files", a, &after));
  bool put = trellis_blob_put("elsewhere", a, nothing, NULL);
  return trellis_format("%.*s %.*s %.*s:%llu,%.*s:%llu %.*s %s", TRELLIS_ARG(whole), TRELLIS_ARG(part),
                        TRELLIS_ARG(list[0].key), (unsigned long long)list[0].size, TRELLIS_ARG(list[1].key),
                        (unsigned long long)list[1].size, TRELLIS_ARG(said(after)),
                        !put && strstr(trellis_error(), "none: ") ? "invalid" : "?");
}

static const char INSERT[] = "INSERT INTO notes VALUES ($1)", COUNT[] = "SELECT count(*) AS n FROM notes";

static long long counted(trellis_transaction *within) {
  trellis_rows rows;
  trellis_statement statement = {COUNT};
  need(within ? trellis_transaction_query(within, statement, &rows) : trellis_sql_query(statement, &rows));
  return trellis_cell(&rows, 0, "n").integer;
}

static trellis_bytes values(void) {
  trellis_value params[] = {trellis_integer(-5), trellis_real(1.5), trellis_string(trellis_str("ü")),
                            trellis_binary((trellis_bytes){(uint8_t *)"\0\xff", 2}), trellis_null()};
  trellis_statement statement = {"SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e", params, 5};
  trellis_rows rows;
  need(trellis_sql_query(statement, &rows));
  trellis_bytes text = trellis_cell(&rows, 0, "c").bytes, blob = trellis_cell(&rows, 0, "d").bytes;
  need(blob.size == 2);
  return trellis_format("%lld %.1f %.*s %02x%02x %s", (long long)trellis_cell(&rows, 0, "a").integer,
                        trellis_cell(&rows, 0, "b").real, TRELLIS_ARG(text), blob.data[0], blob.data[1],
                        trellis_cell(&rows, 0, "e").kind == TRELLIS_NULL ? "null" : "?");
}

static trellis_bytes sql(void) {
  trellis_value milk = trellis_string(trellis_str("milk")), bread = trellis_string(trellis_str("bread"));
  trellis_value salt = trellis_string(trellis_str("salt"));
  trellis_transaction transaction;
  uint64_t changed;
  need(trellis_sql_execute((trellis_statement){INSERT, &milk, 1}, &changed));
  need(trellis_begin(&transaction));
  need(trellis_transaction_execute(&transaction, (trellis_statement){INSERT, &bread, 1}, NULL));
  long long within = counted(&transaction);
  need(trellis_rollback(&transaction));
  long long after = counted(NULL);
  need(trellis_begin(&transaction));
  need(trellis_transaction_execute(&transaction, (trellis_statement){INSERT, &bread, 1}, NULL));
  need(trellis_commit(&transaction));
  need(!trellis_rollback(&transaction));
  long long committed = counted(NULL);
  trellis_statement both[] = {{INSERT, &salt, 1}, {INSERT, &milk, 1}};
  bool done = trellis_sql_batch(both, 2);
  const char *why = !done && strstr(trellis_error(), "a constraint is violated: ") ? "constraint" : "?";
  return trellis_format("%llu %lld %lld %lld %s %lld %.*s", (unsigned long long)changed, within, after, committed, why,
                        counted(NULL), TRELLIS_ARG(values()));
}

static plugin_string_t desk = {(uint8_t *)"desk", 4};

/* Who is shown, which the generated functions tell as well. */
static trellis_bytes shown(void) {
  trellis_streaming_presence_list_shown_t list;
  trellis_streaming_presence_who(&desk, &list);
  if (list.len != 1) return trellis_str(list.len ? "many" : "nobody");
  return trellis_format("%.*s:%.*s", (int)list.ptr->key.len, list.ptr->key.ptr, (int)list.ptr->meta.len,
                        list.ptr->meta.ptr);
}

static trellis_bytes presence(void) {
  plugin_string_t tag = {(uint8_t *)"box", 3}, key = {(uint8_t *)"ada", 3}, meta = {(uint8_t *)"away", 4};
  plugin_string_t tagged;
  trellis_bytes channel = trellis_str("desk");
  trellis_frame binary = {true, {(uint8_t *)"\0\xff", 2}};
  trellis_streaming_mailboxes_error_t failed;
  trellis_streaming_mailboxes_list_frame_t frames;
  trellis_streaming_channels_list_frame_t recent;
  uint64_t box;
  need(trellis_streaming_mailboxes_open(&tag, TTL, &box, &failed));
  need(trellis_join(box, channel, (trellis_start){TRELLIS_NEXT}));
  need(trellis_streaming_presence_show(box, &desk, &key, &meta, &failed));
  trellis_bytes there = shown();
  trellis_streaming_presence_hide(box, &desk);
  need(trellis_publish(channel, trellis_text_frame(trellis_str("a note"))));
  need(trellis_publish(channel, binary));
  need(trellis_streaming_channels_tag(box, &tagged));
  need(trellis_streaming_mailboxes_read(box, 9, 1000, &frames) && frames.len == 2);
  trellis_streaming_channels_recent(&desk, 9, &recent);
  plugin_string_t text = frames.ptr[0].val.text;
  plugin_list_u8_t bytes = frames.ptr[1].val.binary;
  need(bytes.len == 2);
  return trellis_format("%.*s %.*s %.*s %.*s %02x%02x %u %zu", (int)tagged.len, tagged.ptr, TRELLIS_ARG(there),
                        TRELLIS_ARG(shown()), (int)text.len, text.ptr, bytes.ptr[0], bytes.ptr[1],
                        trellis_streaming_channels_listeners(&desk), recent.len);
}

static trellis_bytes metrics(void) {
  trellis_pair label = {trellis_str("who"), trellis_str("ada")};
  trellis_count("visits", 2, &label, 1);
  trellis_gauge("level", 1.5, NULL, 0);
  trellis_observe("took_seconds", 0.25, NULL, 0);
  return trellis_str("counted");
}

const use uses[] = {{"config", config}, {"keyvalue", keyvalue}, {"cache", cache}, {"blobs", blobs},
                    {"sql", sql},       {"presence", presence}, {"metrics", metrics}, {0}};

trellis_bytes ask(trellis_bytes where) {
  trellis_pair header = {trellis_str("x-asked"), trellis_str("yes")};
  trellis_question here = {.method = "POST",
                           .url = trellis_format("http://%.*s/echo", TRELLIS_ARG(where)),
                           .body = trellis_str("ping"),
                           .headers = &header,
                           .header_count = 1};
  trellis_question elsewhere = {.url = trellis_str("http://elsewhere.invalid/")};
  trellis_answer answer, again;
  need(trellis_ask(&here, &answer));
  trellis_bytes field = {0};
  for (size_t at = 0; at < answer.header_count; at++) {
    if (trellis_is(answer.headers[at].name, "x-answer")) field = answer.headers[at].value;
  }
  bool granted = trellis_ask(&elsewhere, &again);
  const char *why = !granted && strstr(trellis_error(), "was not granted") ? "not granted" : "?";
  need(trellis_ask(&here, &again));
  return trellis_format("%d %.*s %.*s %s %d", answer.status, TRELLIS_ARG(field), TRELLIS_ARG(answer.body), why,
                        again.status);
}
