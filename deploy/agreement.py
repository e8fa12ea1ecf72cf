"""What the files of this folder say about each other and about the host.

Usage: agreement.py WHAT [COMPOSE], where COMPOSE is what `docker compose config --format json` made.
`queries` prints every query of the dashboard as a rule, `image_health` and `balancer_health` print a
script; the others print what does not agree, and then the exit code is 1.
"""

import ipaddress
import json
import re
import sys
import tomllib
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parent
HOST = DEPLOY.parent / "host"
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())
TESTS = yaml.safe_load((DEPLOY / "prometheus/alerts.test.yaml").read_text())
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text())
DASHBOARD = json.loads((DEPLOY / "grafana/trellis.json").read_text())
SETTINGS = tomllib.loads((DEPLOY / "settings.toml").read_text())
DEFAULTS = tomllib.loads((HOST / "settings.toml").read_text())
BALANCER = (DEPLOY / "haproxy.cfg").read_text()
UNIT = (DEPLOY / "trellis.service").read_text()

# What Prometheus itself adds to whatever it asks.
OWN_METRICS = {"up": "Whether it answers, by job and instance."}
OWN_LABELS = {"job", "instance", "le"}
# How long the last calls of plugins have once no request is under way, in seconds.
LAST_CALLS = 10

GROUPING = re.compile(
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def rules():
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def dashboard_queries():
    """Each query as Prometheus gets it, with the place where it stands."""
    found = [(panel["title"], target["expr"])
             for panel in panels() for target in panel["targets"]]
    found += [(note["name"], note["expr"]) for note in DASHBOARD["annotations"]["list"]]
    for variable in DASHBOARD["templating"]["list"]:
        values = re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("definition", ""))
        if values:
            found.append((variable["name"], f"count by ({values[2]}) ({values[1]})"))
    for place, query in found:
        yield place, query.replace("$__rate_interval", "1m")


def all_queries():
    return [(rule["alert"], rule["expr"]) for rule in rules()] + list(dashboard_queries())


def described():
    """Every metric of the host with its meaning, from the list that the host describes them by."""
    source = (HOST / "src/observe/metrics.rs").read_text()
    listed = source.split("pub const NAMES", 1)[1].split("\n];", 1)[0]
    found = re.findall(r'\(\s*"(\w+)",\s*(Counter|Gauge|Seconds),\s*"([^"]*)"', listed)
    names = dict(OWN_METRICS)
    for name, kind, meaning in found:
        for ending in ["_bucket", "_sum", "_count"] if kind == "Seconds" else [""]:
            names[name + ending] = meaning
    return names


def metrics_of(query):
    """The names of metrics in a query: what is left of it once everything else is gone."""
    rest = re.sub(r'"[^"]*"', "", query)
    rest = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", rest)
    rest = GROUPING.sub("", rest)
    words = re.findall(r"[A-Za-z_:][\w:]*\b(?!\s*\()", re.sub(r"\b\d[\w.]*", "", rest))
    return [word for word in words if word not in {"and", "or", "unless", "offset", "bool"}]


def labels_of(query):
    """The labels by which a query chooses and groups."""
    found = [label for group in GROUPING.findall(query) for label in group.split(",")]
    for braces in re.findall(r"\{([^}]*)\}", query):
        found += re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", braces)
    return {label.strip() for label in found if label.strip()}


def queries(_):
    each = [{"record": f"panel:{number}", "expr": query}
            for number, (_, query) in enumerate(dashboard_queries())]
    print(yaml.safe_dump({"groups": [{"name": "panels", "rules": each}]}))
    return []


def image_health(_):
    """The image's look at a host, as a script."""
    container = (DEPLOY / "Containerfile").read_text()
    words = json.loads(re.search(r"^HEALTHCHECK [^\[]*CMD (\[.*\])$", container, re.M)[1])
    print(words[2])
    return []


def balancer_health(compose):
    """The balancer's look at itself, as a script."""
    print(compose["services"]["balancer"]["healthcheck"]["test"][3].replace("$$", "$"))
    return []


def metrics(_):
    known = described()
    for place, query in all_queries():
        names = metrics_of(query)
        if not names:
            yield f"`{place}` asks for no metric"
        for name in names:
            if name not in known:
                yield f"`{place}` asks for `{name}`, which the host does not have"


def labels(_):
    """A label is one that the meaning of some metric in the query names: `by plugin and kind`."""
    known = described()
    for place, query in all_queries():
        meanings = " ".join(known.get(name, "") for name in metrics_of(query))
        words = set(re.findall(r"\w+", meanings))
        for label in labels_of(query) - OWN_LABELS - words:
            yield f"`{place}` asks by `{label}`, which none of its metrics has"


def tests(_):
    """Each rule is seen to speak, and to be quiet when there is something to look at."""
    cases = [(case["alertname"], bool(case["exp_alerts"]))
             for test in TESTS["tests"] for case in test["alert_rule_test"]]
    for rule in rules():
        for outcome, verb in [(True, "speaks"), (False, "is quiet")]:
            if (rule["alert"], outcome) not in cases:
                yield f"no test in which `{rule['alert']}` {verb}"
        if rule["labels"].get("severity") not in {"critical", "warning"}:
            yield f"`{rule['alert']}` has no severity"
        if not rule["annotations"].get("summary"):
            yield f"`{rule['alert']}` says nothing"


def dashboard(_):
    """What Grafana takes without a word and then does not show."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    if len(ids) != len(set(ids)):
        yield "two panels have one id"
    taken = {}
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        if at["x"] + at["w"] > 24:
            yield f"`{panel['title']}` goes beyond the right edge"
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if taken.setdefault((x, y), panel["title"]) != panel["title"]:
                    yield f"`{panel['title']}` lies over `{taken[x, y]}`"
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    text = json.dumps(DASHBOARD)
    for name in set(re.findall(r"\$\{?([A-Za-z]\w*)", text)) - variables:
        yield f"`${name}` is no variable"
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    chosen = [variable["current"]["value"] for variable in DASHBOARD["templating"]["list"]
              if variable["type"] == "datasource"]
    if [one["uid"] for one in source["datasources"]] != chosen:
        yield f"the dashboard asks {chosen}, which is not provisioned"


def seconds(text):
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    parts = re.findall(r"(\d+)(ms|s|m|h)", text)
    return sum(int(number) * units[unit] for number, unit in parts)


def times(compose):
    def setting(table, key, settings):
        return seconds(settings.get(table, {}).get(key, DEFAULTS[table][key]))

    def stopping(settings):
        return setting("host", "leave-delay", settings) \
            + setting("http", "drain-timeout", settings) + LAST_CALLS

    patience = int(re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.M)[1])
    for name, settings in [("host/settings.toml", DEFAULTS), ("settings.toml", SETTINGS)]:
        if patience <= stopping(settings):
            yield f"TimeoutStopSec={patience} ends a host of {name} that stops in order"
    for name, service in nodes(compose).items():
        if seconds(service["stop_grace_period"]) <= stopping(SETTINGS):
            yield f"{name}: stop_grace_period ends a node that stops in order"
    every = seconds(re.search(r"\binter (\w+)", BALANCER)[1])
    misses = int(re.search(r"\bfall (\d+)", BALANCER)[1])
    # One look may have been a moment ago, and one may take its time.
    if every * (misses + 1) >= setting("host", "leave-delay", SETTINGS):
        yield "leave-delay is over before the balancer has noticed"
    kept = seconds(re.search(r"timeout http-keep-alive (\w+)", BALANCER)[1])
    if kept >= setting("http", "idle-timeout", SETTINGS):
        yield "a node closes connections that the balancer still uses"


def nodes(compose):
    return {name: service for name, service in compose["services"].items()
            if name.startswith("node-")}


def addresses(compose):
    """Names, ports, networks and limits that stand in several files."""
    services = compose["services"]
    http = SETTINGS["http"]["listen"][0].rsplit(":", 1)[1]
    admin = SETTINGS["admin"]["listen"].rsplit(":", 1)[1]
    names = set(nodes(compose))
    balanced = set(re.findall(rf"^  server (\S+) \1:{http}$", BALANCER, re.M))
    if balanced != names:
        yield f"the balancer sends to {sorted(balanced)} and not to {sorted(names)}"
    connections = int(re.search(r"^  maxconn (\d+)", BALANCER, re.M)[1])
    if services["balancer"]["ulimits"]["nofile"] < 2 * connections + 100:
        yield f"the balancer may not open as many files as {connections} connections take"
    if f" check port {admin} " not in BALANCER:
        yield f"the balancer does not ask at port {admin}"
    jobs = {job["job_name"]: job["static_configs"] for job in PROMETHEUS["scrape_configs"]}
    asked = {target for config in jobs["trellis"] for target in config["targets"]}
    if asked != {f"{name}:{admin}" for name in names}:
        yield f"Prometheus asks {sorted(asked)}"
    edge = compose["networks"]["edge"]["ipam"]["config"][0]["subnet"]
    if SETTINGS["http"]["trusted-proxies"] != [str(ipaddress.ip_network(edge))]:
        yield f"the balancer in {edge} is not trusted"
    kept = SETTINGS["log"]["kafka"]["brokers"]
    servers = kept + [SETTINGS["cache"]["redis"]["address"], SETTINGS["postgres"]["host"]]
    for server in {server.split(":")[0] for server in servers} - set(services):
        yield f"settings.toml names `{server}`, which is no service"
    listening = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    if listening.split("://")[1] not in kept:
        yield f"Kafka says that it is at {listening}"
    pages = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    if pages["datasources"][0]["url"].split("/")[2].split(":")[0] not in services:
        yield "Grafana asks a Prometheus that is no service"


def images(compose):
    """Every image has a tag that stays what it is, every service says how it is."""
    container = (DEPLOY / "Containerfile").read_text()
    own = [service["image"] for service in nodes(compose).values()]
    for name, service in compose["services"].items():
        if not re.search(r":v?[\w.-]*\d+\.\d+|:RELEASE\.\d", service["image"]):
            yield f"{name}: `{service['image']}` may be another one tomorrow"
        if service["image"] in own:
            if "HEALTHCHECK" not in container:
                yield f"{name}: nobody knows how it is"
            if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
                yield f"{name}: a node needs no rights and writes to its volumes alone"
        elif "healthcheck" not in service:
            yield f"{name}: nobody knows how it is"
    for image in re.findall(r"^FROM (\S+)", container, re.M):
        if not re.search(r":\d+\.\d+", image):
            yield f"`{image}` may be another one tomorrow"
    compiler = tomllib.loads((DEPLOY.parent / "rust-toolchain.toml").read_text())
    if f"FROM rust:{compiler['toolchain']['channel']}-" not in container:
        yield "the image is built with another compiler than rust-toolchain.toml names"
    if not re.search(r"^USER [1-9]", container, re.M):
        yield "the image runs as root"


def secrets(compose):
    """Secrets are files; whoever reads one is given it, and no other value looks like one."""
    wanted = re.findall(r'file = "/run/secrets/(\w+)"', (DEPLOY / "settings.toml").read_text())
    for name, service in compose["services"].items():
        given = {secret["source"] for secret in service.get("secrets", [])}
        read = set(wanted) if name in nodes(compose) else set()
        for key, value in (service.get("environment") or {}).items():
            if "PASSWORD" in key and not value.startswith("/run/secrets/"):
                yield f"{name}: `{key}` is in the file"
            read.update(re.findall(r"/run/secrets/(\w+)", value or ""))
        for missing in read - given:
            yield f"{name}: reads the secret `{missing}` and is not given it"
    for name, secret in compose["secrets"].items():
        if not secret.get("file"):
            yield f"the secret `{name}` is no file"
        elif not Path(secret["file"]).is_file():
            yield f"make-secrets does not make `{name}`"


def main():
    what = globals()[sys.argv[1]]
    compose = json.loads(Path(sys.argv[2]).read_text()) if len(sys.argv) > 2 else None
    faults = list(what(compose))
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


main()
