#!/usr/bin/env python3
"""Counts an access log as the counters must have counted it after `bench replay`.

    tests/load/count.py access.log                                    prints the counts as JSON
    tests/load/count.py access.log --compare http://127.0.0.1:8080    and compares

Knows nothing of the host: it reads the file, takes the last segment of each path as the type of the
event, and counts types with actions, addresses and, with `--mmdb FILE`, countries (which needs the
Python package `maxminddb`; without it they are not compared).
"""

import argparse
import collections
import json
import re
import sys
import time
import urllib.parse
import urllib.request

# The counters keep this many bytes of a longer key, without a letter that would be cut in two.
LONGEST_KEY = 512

LINE = re.compile(r'(?P<ip>\S+) \S+ \S+ \[[^\]]*\] "\S+ (?P<target>\S+)[^"]*"')


def kind_of(path):
    """The last segment of a path that is not empty, decoded."""
    segments = [segment for segment in path.split("/") if segment]
    if not segments:
        return "/"
    return urllib.parse.unquote_to_bytes(segments[-1]).decode("utf-8", "replace")


def key_of(text):
    """A text as the counters keep it."""
    return text.encode()[:LONGEST_KEY].decode("utf-8", "ignore")


def events(file):
    """Type, action, search text and address of each line."""
    with open(file, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            found = LINE.match(line)
            if not found:
                sys.exit(f"line {number} is no request: {line!r}")
            path, _, query = found["target"].partition("?")
            values = urllib.parse.parse_qs(query, keep_blank_values=True, errors="replace")
            first = {name: value[0] for name, value in values.items()}
            yield kind_of(path), first.get("action"), first.get("text"), found["ip"]


def countries_of(ips, mmdb):
    """How often each country sent something; `XX` is unknown."""
    import maxminddb

    counts = collections.Counter()
    with maxminddb.open_database(mmdb) as database:
        for ip, times in ips.items():
            country = ((database.get(ip) or {}).get("country") or {}).get("iso_code")
            counts[country or "XX"] += times
    return counts


def count(file, mmdb):
    """Everything that can be known from the file."""
    kinds, ips, searches = (collections.Counter() for _ in range(3))
    total = 0
    for kind, action, text, ip in events(file):
        total += 1
        kinds[key_of(f"{kind}[{action}]" if action else kind)] += 1
        ips[ip] += 1
        if text and (kind, action) == ("offr", "preview"):
            searches[key_of(text)] += 1
    metadata = collections.Counter({f"ip[{ip}]": times for ip, times in ips.items()})
    if mmdb:
        for country, times in countries_of(ips, mmdb).items():
            metadata[f"country[{country}]"] = times
    counters = {"event_counter": kinds, "metadata": metadata, "search_counter": searches}
    return {"events": total, **counters}


def answered(base, consumer):
    """What a consumer answers."""
    with urllib.request.urlopen(f"{base}/consumers/{consumer}/data?limit=100000") as answer:
        return dict(json.load(answer)["data"])


def settle(base, total, seconds):
    """Wait until as many events are counted as were sent."""
    deadline = time.monotonic() + seconds
    while answered(base, "stats").get("total", 0) < total and time.monotonic() < deadline:
        time.sleep(0.1)


def compare(name, wanted, found):
    """Say whether two tables are equal, and where not."""
    wrong = {key: (wanted.get(key, 0), found.get(key, 0)) for key in {*wanted, *found}}
    wrong = {key: pair for key, pair in wrong.items() if pair[0] != pair[1]}
    total = sum(wanted.values())
    print(f"{name}: {len(wanted)} keys, {total} in all, {len(wrong)} differ")
    for key, (here, there) in sorted(wrong.items())[:20]:
        print(f"  {key!r}: {here} in the file, {there} counted")
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--mmdb", help="the database of cities and countries that the host uses")
    parser.add_argument("--compare", metavar="URL", help="where the host listens")
    parser.add_argument("--wait", type=float, default=30.0, help="seconds until all is counted")
    arguments = parser.parse_args()
    counts = count(arguments.file, arguments.mmdb)
    if not arguments.compare:
        print(json.dumps(counts, indent=1, sort_keys=True, ensure_ascii=False))
        return
    base = arguments.compare.rstrip("/")
    settle(base, counts["events"], arguments.wait)
    found = {name: answered(base, name) for name in ("event_counter", "metadata", "search_counter")}
    known = ("ip[", "country[") if arguments.mmdb else ("ip[",)
    found["metadata"] = {k: n for k, n in found["metadata"].items() if k.startswith(known)}
    equal = [compare(name, counts[name], found[name]) for name in found]
    total = answered(base, "stats").get("total")
    print(f"stats: {counts['events']} events in the file, {total} counted")
    sys.exit(0 if all(equal) and total == counts["events"] else 1)


if __name__ == "__main__":
    main()
