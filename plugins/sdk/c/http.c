/* Requests: the packed handler. */
#include "library.h"
#include "packed.h"

static plugin_list_u8_t pack(const trellis_response *response) {
  size_t size = 8;
  for (size_t at = 0; at < response->header_count; at++) {
    size += 8 + response->headers[at].name.size + response->headers[at].value.size;
  }
  uint8_t *head = trellis_alloc(size), *out = head;
  uint16_t status = response->status ? response->status : 200;
  *out++ = PACKED_VERSION;
  *out++ = 0;
  out = packed_put(out, &status, 2);
  out = packed_put_u32(out, (uint32_t)response->header_count);
  for (size_t at = 0; at < response->header_count; at++) {
    out = packed_put_bytes(packed_put_bytes(out, response->headers[at].name), response->headers[at].value);
  }
  return (plugin_list_u8_t){head, size};
}

void exports_trellis_http_packed_handler_handle(plugin_list_u8_t *head, plugin_list_u8_t *body,
                                                plugin_tuple2_list_u8_list_u8_t *answer) {
  trellis_call_begins();
  trellis_request request = {.body = from_list(*body)};
  trellis_response response = trellis_text(500, trellis_str("internal error"));
  if (trellis_parse_request(from_list(*head), &request)) {
    response = trellis_on_request(&request);
  } else {
    trellis_log(TRELLIS_ERROR, "the request does not follow the layout that this library reads");
  }
  answer->f0 = pack(&response);
  answer->f1 = to_list(response.body);
  trellis_call_ends();
}
