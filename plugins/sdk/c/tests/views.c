/* What needs no host, on any machine:
 * cc -std=c11 -g -fsanitize=address,undefined -I. tests/views.c request.c batch.c json.c -o /tmp/views && /tmp/views
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "packed.h"

static int failures;

#define CHECK(is)                                                      \
  do {                                                                 \
    if (!(is)) failures++, printf("%s:%d: %s\n", __FILE__, __LINE__, #is); \
  } while (0)

/* As in memory.c: there until the end. */
void *trellis_alloc(size_t size) {
  static void **all;
  static size_t count;
  all = realloc(all, (count + 1) * sizeof *all);
  return all[count++] = malloc(size ? size : 1);
}

bool trellis_is(trellis_bytes bytes, const char *text) {
  return bytes.data && bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static trellis_bytes bytes(const void *data, size_t size) {
  /* Of exactly this size, so that reading beyond it is seen. */
  uint8_t *copy = malloc(size ? size : 1);
  memcpy(copy, data, size);
  return (trellis_bytes){copy, size};
}

static void forget(trellis_bytes of) { free((void *)of.data); }

static trellis_bytes text(const char *of) { return (trellis_bytes){(const uint8_t *)of, strlen(of)}; }

/* A batch of two: a tombstone with a header, and an empty value without a key. */
static size_t batch_of_two(uint8_t *out) {
  uint8_t *at = packed_put_u32(out, PACKED_VERSION);
  at = packed_put_u32(packed_put_u32(at, 2), 7);
  at = packed_put(at, &(uint64_t){9}, 8);
  at = packed_put_bytes(at, text("events"));
  for (int record = 0; record < 2; record++) {
    uint8_t *length = at;
    at = packed_put(packed_put(at + 4, &(uint64_t){40 + record}, 8), &(int64_t){5}, 8);
    at = packed_put_optional(at, record ? (trellis_bytes){0} : text("key"));
    at = packed_put_optional(at, record ? text("") : (trellis_bytes){0});
    at = packed_put_u32(at, record ? 0 : 1);
    if (!record) at = packed_put_optional(packed_put_bytes(at, text("name")), text("value"));
    packed_put_u32(length, (uint32_t)(at - length - 4));
  }
  return (size_t)(at - out);
}

static uint32_t walk(trellis_bytes of, bool *whole) {
  trellis_batch batch = {0};
  trellis_message message;
  *whole = trellis_parse_batch(of, &batch);
  while (*whole && trellis_next(&batch, &message)) trellis_message_header(&message, "name");
  *whole = *whole && !batch.broken;
  return batch.next;
}

static void a_batch_is_read_as_it_was_written(void) {
  uint8_t packed[256];
  trellis_bytes all = bytes(packed, batch_of_two(packed));
  trellis_batch batch = {0};
  trellis_message message;
  CHECK(trellis_parse_batch(all, &batch));
  CHECK(batch.count == 2 && batch.partition == 7 && batch.behind == 9 && trellis_is(batch.topic, "events"));
  CHECK(trellis_next(&batch, &message));
  CHECK(message.offset == 40 && message.index == 0 && trellis_is(message.key, "key") && !message.value.data);
  CHECK(trellis_is(trellis_message_header(&message, "name"), "value"));
  CHECK(!trellis_message_header(&message, "other").data);
  CHECK(trellis_next(&batch, &message));
  CHECK(message.index == 1 && !message.key.data && message.value.data && message.value.size == 0);
  CHECK(!trellis_next(&batch, &message) && !batch.broken);
  forget(all);
}

static void a_batch_that_is_cut_anywhere_is_told_to_be_broken(void) {
  uint8_t packed[256];
  size_t size = batch_of_two(packed);
  for (size_t cut = 0; cut < size; cut++) {
    trellis_bytes part = bytes(packed, cut);
    bool whole;
    CHECK(walk(part, &whole) < 2 && !whole);
    forget(part);
  }
}

static void a_byte_that_is_wrong_never_reads_beyond_the_end(void) {
  uint8_t packed[256];
  size_t size = batch_of_two(packed);
  for (size_t at = 0; at < size; at++) {
    for (int value = 0; value < 256; value += 15) {
      trellis_bytes wrong = bytes(packed, size);
      ((uint8_t *)wrong.data)[at] = (uint8_t)value;
      trellis_request request = {0};
      bool whole;
      walk(wrong, &whole);
      trellis_parse_request(wrong, &request);
      forget(wrong);
    }
  }
}

static void a_request_with_more_headers_than_bytes_is_refused(void) {
  uint8_t head[64] = {PACKED_VERSION};
  packed_put_u32(head + 4, UINT32_MAX);
  trellis_bytes all = bytes(head, sizeof head);
  trellis_request request = {0};
  CHECK(!trellis_parse_request(all, &request));
  forget(all);
}

static void another_version_is_refused(void) {
  uint8_t packed[256];
  size_t size = batch_of_two(packed);
  packed[0] = 2;
  trellis_batch batch = {0};
  trellis_request request = {0};
  CHECK(!trellis_parse_batch((trellis_bytes){packed, size}, &batch));
  CHECK(!trellis_parse_request((trellis_bytes){packed, size}, &request));
}

static void a_text_is_found_in_an_object(void) {
  const char *object = " {\"a\": [1, {\"type\": \"no\"}, \"]\"], \"n\":-1.5e3,\"t\":true, \"type\" : \"w\\u00e4\\ud83d\\ude00\\n\"}";
  CHECK(trellis_is(trellis_json_text(text(object), "type"), "w\xc3\xa4\xf0\x9f\x98\x80\n"));
  CHECK(!trellis_json_text(text(object), "n").data);
  CHECK(!trellis_json_text(text(object), "none").data);
  CHECK(!trellis_json_text(text("[\"type\"]"), "type").data);
  CHECK(trellis_is(trellis_json_text(text("{\"type\":\"\\ud83d\"}"), "type"), "\xef\xbf\xbd"));
  CHECK(trellis_json_text(text("{\"type\":\"\\u\\u\\u\\u\\u\\u\\u\\u\"}"), "type").size == 24);
  for (const char *const *wrong = (const char *[]){"\xff", "\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80", NULL}; *wrong; wrong++) {
    char object_of[64];
    snprintf(object_of, sizeof object_of, "{\"type\":\"a%s\"}", *wrong);
    CHECK(!trellis_json_text(text(object_of), "type").data);
  }
  CHECK(trellis_is(trellis_json_text(text("{\"type\":\"v\", \"type\":\"w\" } "), "type"), "w"));
  for (const char *const *broken = (const char *[]){"{}", "{\"type\":\"w\"}}", "{\"type\":\"w\",}", "{\"type\":\"w\"} 1", NULL}; *broken; broken++) {
    CHECK(!trellis_json_text(text(*broken), "type").data);
  }
}

static void an_object_that_is_cut_anywhere_has_no_text(void) {
  const char *object = "{\"a\":{\"b\":[\"\\\"\",{}]},\"c\":1,\"type\":\"\\u0077\"}";
  size_t size = strlen(object);
  for (size_t cut = 0; cut < size; cut++) {
    trellis_bytes part = bytes(object, cut);
    CHECK(!trellis_json_text(part, "type").data);
    forget(part);
  }
  char deep[4096];
  memset(deep, '[', sizeof deep);
  memcpy(deep, "{\"a\":", 5);
  CHECK(!trellis_json_text((trellis_bytes){(uint8_t *)deep, sizeof deep}, "type").data);
}

static void what_is_quoted_is_read_back(void) {
  trellis_bytes quoted = trellis_json_quote(text("a\"b\\c\n\x01"));
  CHECK(trellis_is(quoted, "\"a\\\"b\\\\c\\u000a\\u0001\""));
}

int main(void) {
  a_batch_is_read_as_it_was_written();
  a_batch_that_is_cut_anywhere_is_told_to_be_broken();
  a_byte_that_is_wrong_never_reads_beyond_the_end();
  a_request_with_more_headers_than_bytes_is_refused();
  another_version_is_refused();
  a_text_is_found_in_an_object();
  an_object_that_is_cut_anywhere_has_no_text();
  what_is_quoted_is_read_back();
  return failures != 0;
}
