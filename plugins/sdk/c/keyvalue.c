/* Keys and values in a named store. */
#include "library.h"

static bool fails(const wasi_keyvalue_store_error_t *error) {
  switch (error->tag) {
    case WASI_KEYVALUE_STORE_ERROR_NO_SUCH_STORE:
      return trellis_fails("there is no such store", (trellis_bytes){0});
    case WASI_KEYVALUE_STORE_ERROR_ACCESS_DENIED:
      return trellis_fails("the store was not granted", (trellis_bytes){0});
    default:
      return trellis_fails("the store failed", from_string(error->val.other));
  }
}

static wasi_keyvalue_store_own_bucket_t own(const trellis_store *store) {
  return (wasi_keyvalue_store_own_bucket_t){store->handle};
}

static wasi_keyvalue_store_borrow_bucket_t lent(const trellis_store *store) {
  return wasi_keyvalue_store_borrow_bucket(own(store));
}

bool trellis_store_open(const char *name, trellis_store *store) {
  plugin_string_t text = to_string(trellis_str(name));
  wasi_keyvalue_store_own_bucket_t bucket;
  wasi_keyvalue_store_error_t error;
  if (!wasi_keyvalue_store_open(&text, &bucket, &error)) return fails(&error);
  store->handle = bucket.__handle;
  return true;
}

void trellis_store_close(trellis_store *store) { wasi_keyvalue_store_bucket_drop_own(own(store)); }

bool trellis_store_get(trellis_store *store, trellis_bytes key, trellis_bytes *value) {
  plugin_string_t text = to_string(key);
  plugin_option_list_u8_t found;
  wasi_keyvalue_store_error_t error;
  if (!wasi_keyvalue_store_method_bucket_get(lent(store), &text, &found, &error)) return fails(&error);
  *value = found.is_some ? from_list(found.val) : (trellis_bytes){0};
  return true;
}

bool trellis_store_set(trellis_store *store, trellis_bytes key, trellis_bytes value) {
  plugin_string_t text = to_string(key);
  plugin_list_u8_t bytes = to_list(value);
  wasi_keyvalue_store_error_t error;
  return wasi_keyvalue_store_method_bucket_set(lent(store), &text, &bytes, &error) || fails(&error);
}

bool trellis_store_delete(trellis_store *store, trellis_bytes key) {
  plugin_string_t text = to_string(key);
  wasi_keyvalue_store_error_t error;
  return wasi_keyvalue_store_method_bucket_delete(lent(store), &text, &error) || fails(&error);
}

bool trellis_store_increment(trellis_store *store, trellis_bytes key, int64_t by, int64_t *sum) {
  plugin_string_t text = to_string(key);
  wasi_keyvalue_atomics_error_t error;
  return wasi_keyvalue_atomics_increment(lent(store), &text, by, sum, &error) || fails(&error);
}

bool trellis_store_keys(trellis_store *store, trellis_bytes *cursor, const trellis_bytes **keys, size_t *count) {
  plugin_string_t from = to_string(*cursor);
  wasi_keyvalue_store_key_response_t page;
  wasi_keyvalue_store_error_t error;
  plugin_string_t *start = cursor->data ? &from : NULL;
  if (!wasi_keyvalue_store_method_bucket_list_keys(lent(store), start, &page, &error)) return fails(&error);
  trellis_bytes *found = trellis_alloc(page.keys.len * sizeof *found);
  for (size_t at = 0; at < page.keys.len; at++) found[at] = from_string(page.keys.ptr[at]);
  *keys = found;
  *count = page.keys.len;
  *cursor = page.cursor.is_some ? from_string(page.cursor.val) : (trellis_bytes){0};
  return true;
}
