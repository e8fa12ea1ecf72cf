/* Answers, and what is written in queries. */
#include <stdlib.h>
#include <string.h>

#include "library.h"

void trellis_header(trellis_response *response, const char *name, trellis_bytes value) {
  size_t count = response->header_count;
  trellis_pair *longer = trellis_alloc((count + 1) * sizeof *longer);
  if (count) memcpy(longer, response->headers, count * sizeof *longer);
  longer[count] = (trellis_pair){trellis_str(name), value};
  response->headers = longer;
  response->header_count = count + 1;
}

static trellis_response answer(uint16_t status, const char *type, trellis_bytes body) {
  trellis_response response = {.status = status, .body = body};
  trellis_header(&response, "content-type", trellis_str(type));
  return response;
}

trellis_response trellis_text(uint16_t status, trellis_bytes text) {
  return answer(status, "text/plain; charset=utf-8", text);
}

trellis_response trellis_json(uint16_t status, trellis_bytes json) {
  return answer(status, "application/json", json);
}

trellis_response trellis_blob(const char *container, const char *key) {
  trellis_response response = {.status = 200};
  trellis_header(&response, "x-trellis-blob", trellis_format("%s/%s", container, key));
  return response;
}

trellis_response trellis_channel(const char *channel, const char *start) {
  trellis_response response = {.status = 200};
  trellis_header(&response, "x-trellis-channel", trellis_str(channel));
  trellis_header(&response, "x-trellis-start", trellis_str(start));
  return response;
}

static int digit(uint8_t letter) {
  if (letter >= '0' && letter <= '9') return letter - '0';
  letter |= 0x20;
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* Undo what a form does to a text; a % that is none stays. */
static trellis_bytes decode(const uint8_t *text, size_t size) {
  uint8_t *decoded = trellis_alloc(size + 1);
  size_t written = 0;
  for (size_t at = 0; at < size; at++) {
    int high = at + 2 < size ? digit(text[at + 1]) : -1;
    int low = high >= 0 ? digit(text[at + 2]) : -1;
    if (text[at] == '%' && low >= 0) {
      decoded[written++] = (uint8_t)(high * 16 + low);
      at += 2;
    } else {
      decoded[written++] = text[at] == '+' ? ' ' : text[at];
    }
  }
  return (trellis_bytes){decoded, written};
}

trellis_bytes trellis_query(const trellis_request *request, const char *name) {
  const uint8_t *at = request->query.data, *end = at + request->query.size;
  while (at < end) {
    const uint8_t *pair_end = memchr(at, '&', (size_t)(end - at));
    if (!pair_end) pair_end = end;
    const uint8_t *equals = memchr(at, '=', (size_t)(pair_end - at));
    const uint8_t *name_end = equals ? equals : pair_end;
    if (trellis_is(decode(at, (size_t)(name_end - at)), name)) {
      const uint8_t *value = equals ? equals + 1 : pair_end;
      return decode(value, (size_t)(pair_end - value));
    }
    at = pair_end + 1;
  }
  return (trellis_bytes){0};
}
