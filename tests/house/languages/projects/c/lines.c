/* A client that says lines: it has an instance of its own, and these are its state. */
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

static uint64_t connection;
static unsigned count;
static char rest[256];
static size_t rest_size;

trellis_reply trellis_on_arrival(const trellis_arrival *arrival) {
  connection = arrival->connection;
  return (trellis_reply){.send = trellis_format("hello %.*s\n", TRELLIS_ARG(arrival->listener))};
}

/* Add a text to what is sent. */
static void say(trellis_reply *reply, trellis_bytes text) {
  reply->send = trellis_format("%.*s%.*s", TRELLIS_ARG(reply->send), TRELLIS_ARG(text));
}

static void obey(trellis_bytes line, trellis_reply *reply) {
  if (trellis_is(line, "wake")) {
    reply->wake_ms = 10;
  } else if (trellis_is(line, "drain")) {
    char *much = trellis_alloc(100001);
    memset(much, 'x', 100000);
    much[100000] = '\n';
    say(reply, (trellis_bytes){(uint8_t *)much, 100001});
    reply->tell_drained = true;
  } else if (trellis_is(line, "join")) {
    need(trellis_join(connection, trellis_str("room"), (trellis_start){TRELLIS_NEXT}));
    say(reply, trellis_str("joined\n"));
  } else if (trellis_is(line, "fall")) {
    trellis_log(TRELLIS_ERROR, "asked to fall");
    abort();
  } else if (trellis_is(line, "bye")) {
    say(reply, trellis_str("bye\n"));
    reply->close = true;
    reply->reason = trellis_str("asked");
  } else {
    say(reply, trellis_format("%u %.*s\n", count, TRELLIS_ARG(line)));
  }
}

trellis_reply trellis_on_data(trellis_bytes bytes) {
  trellis_reply reply = {0};
  for (size_t at = 0; at < bytes.size; at++) {
    if (bytes.data[at] != '\n') {
      if (rest_size < sizeof rest) rest[rest_size++] = (char)bytes.data[at];
      continue;
    }
    count++;
    obey((trellis_bytes){(uint8_t *)rest, rest_size}, &reply);
    rest_size = 0;
  }
  return reply;
}

trellis_reply trellis_on_drained(void) { return (trellis_reply){.send = trellis_str("drained\n")}; }

trellis_reply trellis_on_woken(void) { return (trellis_reply){.send = trellis_str("woken\n")}; }

void trellis_on_closed(trellis_bytes reason) {
  keep("closed", trellis_format("%u %.*s", count, TRELLIS_ARG(reason)));
}

bool trellis_on_connection_save(trellis_bytes *saved) {
  *saved = trellis_format("%u %.*s", count, (int)rest_size, rest);
  return true;
}

bool trellis_on_connection_restore(const trellis_arrival *arrival, trellis_bytes saved, trellis_reply *reply) {
  char *end;
  const char *text = trellis_cstr(saved);
  connection = arrival->connection;
  count = (unsigned)strtoul(text, &end, 10);
  rest_size = saved.size - (size_t)(end + 1 - text);
  if (*end != ' ' || rest_size > sizeof rest) return false;
  memcpy(rest, end + 1, rest_size);
  return true;
}
