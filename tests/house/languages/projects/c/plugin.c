/* All that a plugin can be and use, in C: see everything.rs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

static char *state = "";
static const char *began;

const char *trellis_on_start(trellis_bytes saved) {
  if (trellis_is(saved, "refuse")) return "asked to refuse";
  began = saved.data ? "swapped" : "fresh";
  if (saved.data) state = strdup(trellis_cstr(saved));
  return NULL;
}

trellis_bytes trellis_on_save(void) { return trellis_str(state); }

void trellis_on_stop(void) { printf("stopped with %s\n", state); }

trellis_bytes said(trellis_bytes value) { return value.data ? value : trellis_str("none"); }

void need(bool done) {
  if (done) return;
  fprintf(stderr, "%s\n", trellis_error());
  abort();
}

void keep(const char *key, trellis_bytes value) {
  trellis_store store;
  need(trellis_store_open("default", &store));
  need(trellis_store_set(&store, trellis_str(key), value));
  trellis_store_close(&store);
}

static trellis_bytes kept(trellis_bytes key) {
  trellis_store store;
  trellis_bytes value;
  need(trellis_store_open("default", &store));
  need(trellis_store_get(&store, key, &value));
  trellis_store_close(&store);
  return said(value);
}

trellis_response trellis_on_request(const trellis_request *request) {
  trellis_bytes what = trellis_param(request, "what");
  for (const use *it = uses; it->name; it++) {
    if (trellis_is(what, it->name)) return trellis_text(200, it->work());
  }
  if (trellis_is(what, "ask")) return trellis_text(200, ask(trellis_query(request, "where")));
  if (trellis_is(what, "file")) return trellis_blob("files", "b");
  if (trellis_is(what, "publish")) {
    need(trellis_publish(trellis_str("room"), trellis_text_frame(request->body)));
  } else if (trellis_is(what, "fail")) {
    keep("fail", trellis_str("yes"));
  } else if (trellis_is(what, "state")) {
    if (trellis_is(request->method, "POST")) state = strdup(trellis_cstr(request->body));
    return trellis_text(200, trellis_format("%s %s", began, state));
  } else {
    return trellis_text(200, kept(what));
  }
  return trellis_text(200, trellis_str("done"));
}

trellis_decision trellis_on_open(const trellis_knock *knock) {
  trellis_bytes who = trellis_param(&knock->request, "who");
  if (trellis_is(who, "nobody")) return (trellis_decision){.refused = 403, .reason = trellis_str("not you")};
  return (trellis_decision){.tag = who,
                            .channel = trellis_str("room"),
                            .start = {TRELLIS_RECENT, 10},
                            .first = trellis_text_frame(trellis_format("welcome %.*s", TRELLIS_ARG(who)))};
}

static void hear(const trellis_event *event) {
  static const char rename[] = "rename ";
  const trellis_bytes text = event->frame.data;
  if (event->frame.binary) {
    need(trellis_send_frame(event->connection, event->frame));
  } else if (text.size > strlen(rename) && memcmp(text.data, rename, strlen(rename)) == 0) {
    trellis_bytes name = {text.data + strlen(rename), text.size - strlen(rename)};
    need(trellis_retag(event->connection, name));
    trellis_bytes told = trellis_format("you are %.*s", TRELLIS_ARG(name));
    need(trellis_send_frame(event->connection, trellis_text_frame(told)));
  } else if (trellis_is(text, "leave")) {
    trellis_leave(event->connection, trellis_str("room"));
    need(trellis_send_frame(event->connection, trellis_text_frame(trellis_str("you left"))));
  } else if (trellis_is(text, "bye")) {
    need(trellis_close(event->connection, 1000, trellis_str("asked")));
  } else {
    trellis_bytes told = trellis_format("%.*s: %.*s", TRELLIS_ARG(event->tag), TRELLIS_ARG(text));
    need(trellis_publish(trellis_str("room"), trellis_text_frame(told)));
  }
}

void trellis_on_events(const trellis_event *events, size_t count) {
  for (size_t at = 0; at < count; at++) {
    if (events[at].closed) {
      keep("closed", trellis_format("%.*s %d", TRELLIS_ARG(events[at].tag), events[at].code));
    } else {
      hear(&events[at]);
    }
  }
}

const char *trellis_on_job(const trellis_job *job) {
  if (!trellis_is(kept(trellis_str("fail")), "none")) return "asked to fail";
  const char *key = trellis_is(job->name, "tick") ? "runs" : "others";
  trellis_store store;
  int64_t runs;
  need(trellis_store_open("default", &store));
  need(trellis_store_increment(&store, trellis_str(key), 1, &runs));
  trellis_store_close(&store);
  return NULL;
}
