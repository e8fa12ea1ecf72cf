"""What the action plugins share: the events they look at, and calls of other services that are
made until they are answered."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from trellis import client
from trellis.consumer import Batch, DeadLetter, Message, Retry

#: The host sends so many requests at once.
AT_ONCE = 64
#: Answers that another attempt may turn into a better one.
TRY_AGAIN = frozenset({408, 425, 429})
#: The longest that a service may ask to be left alone, in seconds.
MAX_PAUSE = 600


@dataclass
class Event:
    """An event of the topic `events`."""

    message: Message
    kind: str
    params: dict[str, Any]

    @staticmethod
    def of(message: Message) -> "Event":
        """Read one. Raises DeadLetter for a record that is none."""
        value = message.json()
        if not isinstance(value, dict) or not isinstance(value.get("type"), str):
            raise DeadLetter("the record is no object with a `type`", message)
        params = value.get("params")
        return Event(message, value["type"], params if isinstance(params, dict) else {})

    def text(self, name: str) -> str:
        """A parameter as text; empty where there is none, or something else."""
        value = self.params.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return ""
        return str(value)

    def number(self, name: str) -> float | None:
        """A parameter as a number, if it is one."""
        try:
            number = float(self.text(name))
        except ValueError:
            return None
        # Neither infinity nor what is no number is one.
        return number if number - number == 0 else None


Call = tuple[Message, client.Request]


def run(messages: Batch, requests_of: Callable[[Event], Iterable[client.Request]]) -> None:
    """Call for each event what it asks for; many at a time, the messages of a batch in order.

    A failure names the first message that was not done. What comes behind it may have been sent
    already and is sent again.
    """
    calls: list[Call] = []
    unreadable = None
    for message in messages:
        try:
            calls += ((message, request) for request in requests_of(Event.of(message)))
        except DeadLetter as failure:
            # First those before it: once it is named they count as done.
            unreadable = failure
            break
    for start in range(0, len(calls), AT_ONCE):
        some = calls[start : start + AT_ONCE]
        answers = client.send_all(request for _, request in some)
        for (message, _), answer in zip(some, answers, strict=True):
            check(answer, message)
    if unreadable is not None:
        raise unreadable


def ask(request: client.Request, message: Message) -> client.Response:
    """Send one request; its answer, which is 2xx."""
    [answer] = client.send_all([request])
    return check(answer, message)


def check(answer: client.Response | client.ClientError, message: Message) -> client.Response:
    """The answer, if it is 2xx. Raises Retry where another attempt may help, else DeadLetter."""
    if isinstance(answer, client.Invalid):
        raise DeadLetter(f"the request cannot be sent: {answer}", message)
    if isinstance(answer, client.ClientError):
        raise Retry(f"no answer: {answer}", message)
    if 200 <= answer.status < 300:
        return answer
    reason = f"{answer.url} answered with {answer.status}"
    if answer.status >= 500 or answer.status in TRY_AGAIN:
        raise Retry(reason, message, after_ms=pause(answer))
    raise DeadLetter(reason, message)


def pause(answer: client.Response) -> int | None:
    """What `retry-after` asks for, in milliseconds; the manifest's back-off where it is a date."""
    seconds = answer.header("retry-after") or ""
    return min(int(seconds), MAX_PAUSE) * 1000 if seconds.isascii() and seconds.isdigit() else None
