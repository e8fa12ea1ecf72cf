/* Asking other hosts. */
#include "library.h"

static bool fails(const trellis_http_client_error_t *error) {
  switch (error->tag) {
    case TRELLIS_HTTP_CLIENT_ERROR_INVALID:
      return trellis_fails("the request cannot be sent", from_string(error->val.invalid));
    case TRELLIS_HTTP_CLIENT_ERROR_NOT_GRANTED:
      return trellis_fails("the host was not granted", from_string(error->val.not_granted));
    case TRELLIS_HTTP_CLIENT_ERROR_TIMEOUT:
      return trellis_fails("the answer took too long", (trellis_bytes){0});
    case TRELLIS_HTTP_CLIENT_ERROR_TOO_LARGE:
      return trellis_fails("the request or the answer is too large", (trellis_bytes){0});
    default:
      return trellis_fails("the host cannot be reached", from_string(error->val.unavailable));
  }
}

bool trellis_ask(const trellis_question *question, trellis_answer *answer) {
  trellis_http_client_request_t request = {
      .method = to_string(trellis_str(question->method ? question->method : "GET")),
      .url = to_string(question->url),
      .body = to_list(question->body),
      .timeout_ms = {question->timeout_ms != 0, question->timeout_ms},
  };
  plugin_list_tuple2_string_string_t headers = trellis_to_pairs(question->headers, question->header_count);
  request.headers.ptr = (void *)headers.ptr;
  request.headers.len = headers.len;
  trellis_http_client_response_t found;
  trellis_http_client_error_t error;
  if (!trellis_http_client_send(&request, &found, &error)) return fails(&error);
  plugin_list_tuple2_string_string_t fields = {(void *)found.headers.ptr, found.headers.len};
  *answer = (trellis_answer){found.status, trellis_from_pairs(fields), fields.len, from_list(found.body)};
  return true;
}
