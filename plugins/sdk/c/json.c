/* As much of JSON as an event needs: a text out of an object, and a text into one. */
#include <stdio.h>
#include <string.h>

#include "trellis.h"

/* What is deeper than so many brackets is taken for broken. */
#define DEPTH 128

typedef struct {
  const uint8_t *at, *end;
} scanner;

static void skip_space(scanner *in) {
  while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r')) in->at++;
}

static bool pass(scanner *in, uint8_t letter) {
  skip_space(in);
  if (in->at == in->end || *in->at != letter) return false;
  in->at++;
  return true;
}

/* What stands between the quotes, with its escapes. */
static bool raw_text(scanner *in, trellis_bytes *text) {
  if (!pass(in, '"')) return false;
  const uint8_t *start = in->at;
  for (; in->at < in->end; in->at++) {
    if (*in->at == '"') {
      *text = (trellis_bytes){start, (size_t)(in->at++ - start)};
      return true;
    }
    if (*in->at == '\\' && ++in->at == in->end) return false;
  }
  return false;
}

/* Any value; brackets are counted, not matched. */
static bool skip_value(scanner *in) {
  int depth = 0;
  do {
    skip_space(in);
    if (in->at == in->end) return false;
    trellis_bytes ignored;
    switch (*in->at) {
      case '"':
        if (!raw_text(in, &ignored)) return false;
        break;
      case '{':
      case '[':
        if (++depth > DEPTH) return false;
        in->at++;
        break;
      case '}':
      case ']':
        if (--depth < 0) return false;
        in->at++;
        break;
      default:
        if (depth == 0 && (*in->at == ',' || *in->at == ':')) return false;
        in->at++;
        while (depth == 0 && in->at < in->end && !strchr(",]} \t\r\n", *in->at)) in->at++;
    }
  } while (depth > 0);
  return true;
}

static int hex(const uint8_t *digits) {
  int number = 0;
  for (int at = 0; at < 4; at++) {
    uint8_t letter = digits[at], low = letter | 0x20;
    if (letter >= '0' && letter <= '9') {
      number = number * 16 + (letter - '0');
    } else if (low >= 'a' && low <= 'f') {
      number = number * 16 + (low - 'a' + 10);
    } else {
      return -1;
    }
  }
  return number;
}

static uint8_t *put_utf8(uint8_t *out, uint32_t letter) {
  if (letter < 0x80) {
    *out++ = (uint8_t)letter;
  } else if (letter < 0x800) {
    *out++ = (uint8_t)(0xc0 | letter >> 6);
    *out++ = (uint8_t)(0x80 | (letter & 0x3f));
  } else if (letter < 0x10000) {
    *out++ = (uint8_t)(0xe0 | letter >> 12);
    *out++ = (uint8_t)(0x80 | (letter >> 6 & 0x3f));
    *out++ = (uint8_t)(0x80 | (letter & 0x3f));
  } else {
    *out++ = (uint8_t)(0xf0 | letter >> 18);
    *out++ = (uint8_t)(0x80 | (letter >> 12 & 0x3f));
    *out++ = (uint8_t)(0x80 | (letter >> 6 & 0x3f));
    *out++ = (uint8_t)(0x80 | (letter & 0x3f));
  }
  return out;
}

/* The letter of a \u escape behind its `u`, both halves of one beyond the first 65,536; half a
 * letter and what is none become U+FFFD. */
static uint32_t unicode(scanner *in) {
  const uint32_t broken = 0xfffd;
  int first = in->end - in->at >= 4 ? hex(in->at) : -1;
  if (first < 0) return broken;
  in->at += 4;
  if (first < 0xd800 || first > 0xdfff) return (uint32_t)first;
  bool more = first < 0xdc00 && in->end - in->at >= 6 && in->at[0] == '\\' && in->at[1] == 'u';
  int second = more ? hex(in->at + 2) : -1;
  if (second < 0xdc00 || second > 0xdfff) return broken;
  in->at += 6;
  return 0x10000 + (((uint32_t)first - 0xd800) << 10) + ((uint32_t)second - 0xdc00);
}

static trellis_bytes unescape(trellis_bytes raw) {
  if (!raw.size || !memchr(raw.data, '\\', raw.size)) return raw;
  /* One escape grows: `\u` without digits, two letters, becomes the three of U+FFFD. */
  uint8_t *text = trellis_alloc(raw.size + raw.size / 2), *out = text;
  scanner in = {raw.data, raw.data + raw.size};
  while (in.at < in.end) {
    uint8_t letter = *in.at++;
    if (letter != '\\' || in.at == in.end) {
      *out++ = letter;
      continue;
    }
    switch (letter = *in.at++) {
      case 'n': *out++ = '\n'; break;
      case 't': *out++ = '\t'; break;
      case 'r': *out++ = '\r'; break;
      case 'b': *out++ = '\b'; break;
      case 'f': *out++ = '\f'; break;
      case 'u': out = put_utf8(out, unicode(&in)); break;
      default: *out++ = letter;
    }
  }
  return (trellis_bytes){text, (size_t)(out - text)};
}

/* Whether it is UTF-8: the host ends a call that hands it any other text. */
static bool is_utf8(trellis_bytes text) {
  const uint8_t *at = text.data, *end = at + text.size;
  while (at < end) {
    uint8_t first = *at++;
    if (first < 0x80) continue;
    int more = first < 0xc2 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : 0;
    if (!more || end - at < more) return false;
    /* Longer than need be, half a letter, or beyond the last one. */
    uint8_t second = *at;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return false;
    if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return false;
    for (; more; more--) {
      if ((*at++ & 0xc0) != 0x80) return false;
    }
  }
  return true;
}

trellis_bytes trellis_json_text(trellis_bytes object, const char *name) {
  const trellis_bytes none = {0};
  trellis_bytes found = none;
  scanner in = {object.data, object.data + object.size};
  if (!pass(&in, '{')) return none;
  if (pass(&in, '}')) return none;
  do {
    trellis_bytes key;
    if (!raw_text(&in, &key) || !pass(&in, ':')) return none;
    scanner value = in;
    if (!skip_value(&in)) return none;
    /* Of two members of a name the later one counts. */
    if (trellis_is(unescape(key), name) && !raw_text(&value, &found)) found = none;
  } while (pass(&in, ','));
  if (!pass(&in, '}')) return none;
  skip_space(&in);
  if (in.at != in.end) return none;
  found = unescape(found);
  return is_utf8(found) ? found : none;
}

trellis_bytes trellis_json_quote(trellis_bytes text) {
  /* A control character takes six. */
  char *quoted = trellis_alloc(text.size * 6 + 3), *out = quoted;
  *out++ = '"';
  for (size_t at = 0; at < text.size; at++) {
    uint8_t letter = text.data[at];
    if (letter == '"' || letter == '\\') {
      *out++ = '\\';
      *out++ = (char)letter;
    } else if (letter < 0x20) {
      out += sprintf(out, "\\u%04x", letter);
    } else {
      *out++ = (char)letter;
    }
  }
  *out++ = '"';
  return (trellis_bytes){(uint8_t *)quoted, (size_t)(out - quoted)};
}
