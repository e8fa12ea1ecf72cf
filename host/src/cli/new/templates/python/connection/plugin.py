"""A room: what one says, all hear. `npx wscat -c ws://127.0.0.1:8080/{{name}}/ada`"""

from trellis import channels, connection


@connection.opened
def enter(request: connection.Request) -> connection.Accepted | connection.Refused:
    return connection.Accepted(tag=request.params["who"], join={"room": channels.Start(recent=10)})


@connection.message
def say(sender: connection.Sender, frame: channels.Frame) -> None:
    if isinstance(frame, str):
        channels.publish("room", f"{sender.tag}: {frame}")
