"""Answers keywords in chats: a `chm` event whose `msg` has one of the words of `replies` becomes a
message of the bot in the event's channel."""

import json
import re
from collections.abc import Iterator
from urllib.parse import quote

from actions import Event, ask
from trellis import cache, client, config, consumer

#: A message is answered once, also where the batch it is in comes again within this time.
REMEMBERED_MS = 24 * 3600 * 1000


@consumer.each
def handle(message: consumer.Message) -> None:
    event = Event.of(message)
    bot = config.require("bot")
    # Its own messages are events, too.
    if event.kind != "chm" or event.text("snder") == bot:
        return
    channel = event.text("churl")
    for number, text in answers(event.text("msg"), replies(config.get("replies"))):
        if not channel:
            raise consumer.DeadLetter("a `chm` event needs `churl`")
        mark = f"{message.topic}/{message.partition}/{message.offset}/{number}"
        if cache.get(mark) is None:
            ask(request(channel, bot, text), message)
            cache.set(mark, b"", REMEMBERED_MS)


def replies(text: str) -> list[tuple[str, str]]:
    """Lines of `word = what is answered`."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return [(word.strip().casefold(), reply.strip()) for word, _, reply in pairs]


def answers(text: str, known: list[tuple[str, str]]) -> Iterator[tuple[int, str]]:
    """What there is to answer, each with its number among the replies."""
    words = set(re.findall(r"\w+", text.casefold()))
    for number, (word, reply) in enumerate(known):
        if word in words:
            yield number, reply


def request(channel: str, bot: str, text: str) -> client.Request:
    """A message as the chat service takes it."""
    url = config.require("url").replace("{channel}", quote(channel, safe=""))
    body = {"message_type": "MESG", "user_id": bot, "message": text}
    headers = {"content-type": "application/json"}
    if token := config.get("token"):
        headers["api-token"] = token
    return client.Request("POST", url, headers, json.dumps(body).encode())
