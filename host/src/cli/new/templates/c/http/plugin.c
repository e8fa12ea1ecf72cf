/* Greets whoever asks: `GET /{{name}}/ada`. */
#include "trellis.h"

trellis_response trellis_on_request(const trellis_request *request) {
  trellis_bytes who = trellis_json_quote(trellis_param(request, "who"));
  return trellis_json(200, trellis_format("{\"hello\":%.*s}", TRELLIS_ARG(who)));
}
