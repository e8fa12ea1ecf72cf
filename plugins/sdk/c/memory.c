/* The memory of a call: given out from the front of a block, and taken back as a whole. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

/* The usual block, and the largest one that is kept from call to call, in bytes. */
#define USUAL (64u << 10)
#define KEPT (4u << 20)

typedef struct block {
  struct block *before;
  size_t size, used;
  _Alignas(16) uint8_t bytes[];
} block;

static block *newest;
/* The last call has ended, but its answer may still be read. */
static bool over;

static block *make(size_t size) {
  block *made = malloc(sizeof(block) + size);
  if (!made) {
    fprintf(stderr, "there is no memory for %zu bytes: see [limits] memory\n", size);
    abort();
  }
  made->before = newest;
  made->size = size;
  made->used = 0;
  return newest = made;
}

/* Keep the newest block, which is the largest or nearly so. */
static void reset(void) {
  over = false;
  if (!newest) return;
  block *kept = newest->size <= KEPT ? newest : NULL;
  for (block *it = newest, *before; it; it = before) {
    before = it->before;
    if (it != kept) free(it);
  }
  newest = kept;
  if (kept) {
    kept->before = NULL;
    kept->used = 0;
  }
}

void *trellis_alloc(size_t size) {
  if (size > SIZE_MAX / 2) abort();
  size = (size + 15) & ~(size_t)15;
  block *from = newest;
  if (!from || from->size - from->used < size) {
    size_t room = from ? from->size * 2 : USUAL;
    if (room > KEPT) room = KEPT;
    from = make(size > room ? size : room);
  }
  void *memory = from->bytes + from->used;
  from->used += size;
  return memory;
}

/* The host puts arguments and results here. */
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align,
                                                                size_t size) {
  (void)align; /* 8 at most; ours is 16. */
  if (over) reset();
  void *memory = trellis_alloc(size);
  if (old_size) memcpy(memory, old, old_size < size ? old_size : size);
  return memory;
}

void trellis_call_begins(void) {
  if (over) reset();
}

void trellis_call_ends(void) { over = true; }

/* What is printed comes line by line, so that a line is told before an abort. */
__attribute__((constructor)) static void lines(void) { setvbuf(stdout, NULL, _IOLBF, 0); }

trellis_bytes trellis_str(const char *text) { return (trellis_bytes){(const uint8_t *)text, strlen(text)}; }

trellis_bytes trellis_format(const char *format, ...) {
  va_list counted, written;
  va_start(counted, format);
  va_copy(written, counted);
  int size = vsnprintf(NULL, 0, format, counted);
  va_end(counted);
  char *text = trellis_alloc(size < 0 ? 1 : (size_t)size + 1);
  if (size > 0) vsnprintf(text, (size_t)size + 1, format, written);
  va_end(written);
  return (trellis_bytes){(const uint8_t *)text, size < 0 ? 0 : (size_t)size};
}

const char *trellis_cstr(trellis_bytes text) {
  char *copy = trellis_alloc(text.size + 1);
  if (text.size) memcpy(copy, text.data, text.size);
  copy[text.size] = 0;
  return copy;
}

bool trellis_is(trellis_bytes bytes, const char *text) {
  return bytes.data && bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static char why[512];

const char *trellis_error(void) { return why; }

bool trellis_fails(const char *what, trellis_bytes reason) {
  int size = snprintf(why, sizeof why, reason.size ? "%s: %.*s" : "%s", what, TRELLIS_ARG(reason));
  /* Cut between two letters: the host takes no half of one. */
  if (size >= (int)sizeof why) {
    size_t end = sizeof why - 1;
    while (end && ((uint8_t)why[end - 1] & 0xc0) == 0x80) end--;
    if (end && (uint8_t)why[end - 1] >= 0xc0) end--;
    why[end] = 0;
  }
  return false;
}

plugin_list_tuple2_string_string_t trellis_to_pairs(const trellis_pair *pairs, size_t count) {
  plugin_list_tuple2_string_string_t list = {trellis_alloc(count * sizeof *list.ptr), count};
  for (size_t at = 0; at < count; at++) {
    list.ptr[at].f0 = to_string(pairs[at].name);
    list.ptr[at].f1 = to_string(pairs[at].value);
  }
  return list;
}

const trellis_pair *trellis_from_pairs(plugin_list_tuple2_string_string_t list) {
  trellis_pair *pairs = trellis_alloc(list.len * sizeof *pairs);
  for (size_t at = 0; at < list.len; at++) {
    pairs[at] = (trellis_pair){from_string(list.ptr[at].f0), from_string(list.ptr[at].f1)};
  }
  return pairs;
}
