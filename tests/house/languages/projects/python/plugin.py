"""All that a plugin can be and use, in Python: see everything.rs."""

from trellis import (
    blobs, cache, channels, client, config, connection, http, job, lifecycle, mailbox, metrics, presence, socket, sql,
)  # fmt: skip
from trellis.keyvalue import Store

store = Store("default")
words = Store("words")
state = ""
began = ""


@lifecycle.start
def begin(saved: bytes | None) -> None:
    global state, began
    if saved == b"refuse":
        raise ValueError("asked to refuse")
    began = "fresh" if saved is None else "swapped"
    state = (saved or b"").decode()


@lifecycle.save
def keep() -> bytes:
    return state.encode()


@lifecycle.stop
def end() -> None:
    print(f"stopped with {state}")


def said(value: bytes | None) -> str:
    return "none" if value is None else value.decode()


def use_config() -> str:
    return f"{config.get('greeting')} {config.get('missing', 'none')}"


def use_keyvalue() -> str:
    first = said(words.get("a"))
    words.set("a", b"1")

    def change(value: bytes | None) -> bytes:
        if value == b"1":
            # Somebody else is faster.
            words.set("a", b"2")
        return (value or b"") + b"x"

    words.update("a", change)
    changed = said(words.get("a"))
    words.increment("n", 2)
    number = words.increment("n", 3)
    keys, _ = words.keys()
    words.delete("a")
    words.set_many({"b": b"bee", "c": b"sea"})
    many = words.get_many(["b", "a", "c"])
    words.delete_many(["b", "c"])
    gone = [said(words.get("a")), (many["b"] + many["c"]).decode(), said(words.get("c"))]
    return f"{first} {changed} {number} {','.join(sorted(keys))} {' '.join(gone)}"


def use_cache() -> str:
    told = [said(cache.get("a"))]
    cache.set("a", b"one", 60_000)
    told += [said(cache.get("a")), str(cache.add("a", b"two", 60_000)).lower()]
    cache.delete("a")
    told += [said(cache.get("a")), str(cache.add("a", b"two", 60_000)).lower(), said(cache.get("a"))]
    told += [said(cache.computed("page", 60_000, lambda: made)) for made in (b"made", b"again")]
    told += [cache.computed("raced", 60_000, overtaken).decode(), said(cache.get("raced"))]
    return " ".join(told)


def overtaken() -> bytes:
    cache.set("raced", b"other", 60_000)
    return b"mine"


def use_blobs() -> str:
    blobs.put("files", "a", b"one", "text/plain")
    blobs.append("files", "a", b"two")
    blobs.put("files", "b", b"from the host", "text/plain")
    whole, part = said(blobs.get("files", "a")), said(blobs.read("files", "a", 3, 9))
    listed = ",".join(f"{key}:{info.size}" for key, info in blobs.entries("files"))
    blobs.delete("files", "a")
    try:
        blobs.put("elsewhere", "a", b"")
    except blobs.Invalid:
        return f"{whole} {part} {listed} {said(blobs.get('files', 'a'))} invalid"
    return "it was put elsewhere"


def count() -> str:
    return str(sql.query("SELECT count(*) AS n FROM notes")[0]["n"])


def use_sql() -> str:
    insert = "INSERT INTO notes VALUES ($1)"
    told = [str(sql.execute(insert, "milk"))]
    try:
        with sql.transaction() as tx:
            tx.execute(insert, "bread")
            told.append(str(tx.query("SELECT count(*) AS n FROM notes")[0]["n"]))
            raise LookupError
    except LookupError:
        told.append(count())
    with sql.transaction() as tx:
        tx.execute(insert, "bread")
    told.append(count())
    try:
        sql.batch([(insert, "salt"), (insert, "milk")])
    except sql.Constraint:
        told += ["constraint", count()]
    [row] = sql.query("SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e", -5, 1.5, "ü", b"\x00\xff", None)
    told += [str(row["a"]), str(row["b"]), row["c"], row["d"].hex(), "null" if row["e"] is None else "?"]
    return " ".join(told)


def use_metrics() -> str:
    metrics.count("visits", 2, {"who": "ada"})
    metrics.gauge("level", 1.5)
    metrics.observe("took_seconds", 0.25)
    return "counted"


def ask(where: str) -> str:
    here = client.Request("POST", f"http://{where}/echo", {"x-asked": "yes"}, b"ping")
    answer, refused = client.send_all([here, client.Request("GET", "http://elsewhere.invalid/")])
    again = client.send(here).status
    if isinstance(answer, client.ClientError) or not isinstance(refused, client.NotGranted):
        return f"{answer} {refused}"
    return f"{answer.status} {answer.header('x-answer')} {answer.text()} not granted {again}"


def shown() -> str:
    return ",".join(f"{it.key}:{it.meta}" for it in presence.who("desk")) or "nobody"


def use_presence() -> str:
    box = mailbox.open("box", 60_000)
    channels.join(box, "desk")
    presence.show(box, "desk", "ada", "away")
    there = shown()
    presence.hide(box, "desk")
    channels.publish("desk", "a note")
    channels.publish("desk", b"\x00\xff")
    frames = mailbox.read(box, 9, 1000) or []
    told = [frame.hex() if isinstance(frame, bytes) else frame for frame in frames]
    count = channels.listeners("desk")
    return f"{channels.tag(box)} {there} {shown()} {' '.join(told)} {count} {len(channels.recent('desk', 9))}"


USES = {
    "config": use_config, "keyvalue": use_keyvalue, "cache": use_cache, "blobs": use_blobs,
    "sql": use_sql, "presence": use_presence, "metrics": use_metrics,
}  # fmt: skip


@http.handler
def answer(request: http.Request) -> http.Response:
    global state
    what = request.params["what"]
    if what in USES:
        return http.Response.text(USES[what]())
    match what:
        case "ask":
            return http.Response.text(ask(request.query_value("where")))
        case "file":
            return http.Response.blob("files", "b")
        case "publish":
            channels.publish("room", request.body.decode())
        case "fail":
            store.set("fail", b"yes")
        case "state":
            if request.method == "POST":
                state = request.body.decode()
            return http.Response.text(f"{began} {state}")
        case "runs" | "closed":
            return http.Response.text(said(store.get(what)))
    return http.Response.text("done")


@connection.opened
def enter(request: connection.Request) -> connection.Accepted | connection.Refused:
    who = request.params["who"]
    if who == "nobody":
        return connection.Refused(403, "not you")
    join = {"room": channels.Start(recent=10)}
    return connection.Accepted(tag=who, join=join, first=[f"welcome {who}"])


@connection.message
def hear(sender: connection.Sender, frame: channels.Frame) -> None:
    if isinstance(frame, bytes):
        channels.send(sender.connection, frame)
    elif frame.startswith("rename "):
        name = frame.removeprefix("rename ")
        channels.retag(sender.connection, name)
        channels.send(sender.connection, f"you are {name}")
    elif frame == "leave":
        channels.leave(sender.connection, "room")
        channels.send(sender.connection, "you left")
    elif frame == "bye":
        channels.close(sender.connection, channels.NORMAL, "asked")
    else:
        channels.publish("room", f"{sender.tag}: {frame}")


@connection.closed
def gone(sender: connection.Sender, code: int, reason: str) -> None:
    store.set("closed", f"{sender.tag} {code}".encode())


@socket.protocol
class Lines(socket.Socket):
    connection = 0
    count = 0
    rest = b""

    def open(self, arrival: socket.Arrival) -> socket.Reply:
        self.connection = arrival.connection
        return socket.Reply(f"hello {arrival.listener}\n".encode())

    def data(self, data: bytes) -> socket.Reply:
        *lines, self.rest = (self.rest + data).split(b"\n")
        reply = socket.Reply()
        for line in lines:
            self.count += 1
            self.obey(line.decode(), reply)
        return reply

    def obey(self, line: str, reply: socket.Reply) -> None:
        match line:
            case "wake":
                reply.wake_ms = 10
            case "drain":
                reply.send += b"x" * 100_000 + b"\n"
                reply.tell_drained = True
            case "join":
                channels.join(self.connection, "room")
                reply.send += b"joined\n"
            case "fall":
                raise RuntimeError("asked to fall")
            case "bye":
                reply.send += b"bye\n"
                reply.close = "asked"
            case _:
                reply.send += f"{self.count} {line}\n".encode()

    def drained(self) -> socket.Reply:
        return socket.Reply(b"drained\n")

    def woken(self) -> socket.Reply:
        return socket.Reply(b"woken\n")

    def closed(self, reason: str) -> None:
        store.set("closed", f"{self.count} {reason}".encode())

    def save(self) -> bytes | None:
        return b"%d %s" % (self.count, self.rest)

    def restore(self, arrival: socket.Arrival, saved: bytes) -> socket.Reply:
        count, _, self.rest = saved.partition(b" ")
        self.connection, self.count = arrival.connection, int(count)
        return socket.Reply()


@job.run
def tick(job: job.Job) -> None:
    if store.exists("fail"):
        raise RuntimeError("asked to fail")
    store.increment("runs" if job.name == "tick" else "others")
