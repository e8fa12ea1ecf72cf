// Package channels hands frames to all connections that joined a channel, or to one.
//
//	err := channels.Publish("rooms:lobby", channels.Text(`{"body":"hello"}`))
//
// Needs the channel in `[needs.channels]` of the manifest. Within connection events nothing of this
// happens before the function returns.
package channels

import (
	"errors"
	"fmt"

	"trellis/internal/abi/types"
	wit "trellis/internal/wit/trellis_streaming_channels"
	streaming "trellis/internal/wit/trellis_streaming_types"
)

// What errors are told by with errors.Is; their texts say more.
var (
	ErrInvalid     = errors.New("the name, the frame or the tag is beyond the limits")
	ErrTooMany     = errors.New("the plugin has as many channels as it may")
	ErrUnavailable = errors.New("the channels of other hosts are unavailable")
)

// Frame is one message: text or bytes.
type Frame = streaming.Frame

// Text is a frame of text.
func Text(text string) Frame { return streaming.MakeFrameText(text) }

// Binary is a frame of bytes.
func Binary(bytes []byte) Frame { return streaming.MakeFrameBinary(bytes) }

// TextOf is the text of a frame, and whether it is one of text.
func TextOf(frame Frame) (string, bool) {
	if frame.Tag() != streaming.FrameText {
		return "", false
	}
	return frame.Text(), true
}

// BytesOf are the bytes of a frame, of either kind.
func BytesOf(frame Frame) []byte {
	if frame.Tag() == streaming.FrameText {
		return []byte(frame.Text())
	}
	return frame.Binary()
}

// Start is where a connection begins in a channel.
type Start = streaming.Start

// Next begins with the next frame.
func Next() Start { return streaming.MakeStartNext() }

// After begins behind the frame with this number.
func After(sequence uint64) Start { return streaming.MakeStartAfter(sequence) }

// Recent begins with the last so many frames.
func Recent(frames uint32) Start { return streaming.MakeStartRecent(frames) }

// Burst begins with the last frames that have so many bytes together.
func Burst(bytes uint32) Start { return streaming.MakeStartBurst(bytes) }

// Publish hands a frame to all who joined, and keeps it for those who come.
func Publish(channel string, frame Frame) error { return Done(wit.Publish(channel, frame)) }

// Join lets a connection hear a channel; one that hears it already goes on as before.
func Join(connection uint64, channel string, start Start) error {
	return Done(wit.Join(connection, channel, start))
}

// Leave lets it hear the channel no longer.
func Leave(connection uint64, channel string) { wit.Leave(connection, channel) }

// Send sends a frame to one connection.
func Send(connection uint64, frame Frame) error { return Done(wit.Send(connection, frame)) }

// Close ends a connection, behind what was sent to it before, with the code of a websocket's close
// and a reason for people.
func Close(connection uint64, code uint16, reason string) error {
	return Done(wit.Close(connection, code, reason))
}

// Retag replaces what comes with each event of the connection.
func Retag(connection uint64, tag string) error { return Done(wit.Retag(connection, tag)) }

// Tag is what was last given to a connection, and whether it is still there.
func Tag(connection uint64) (string, bool) { return wit.Tag(connection).Get() }

// Buffered are the bytes that were sent to a connection and that it has not taken yet.
func Buffered(connection uint64) uint64 { return wit.Buffered(connection) }

// Title is what plays in a channel, for players that show it.
func Title(channel, title string) error { return Done(wit.Title(channel, title)) }

// Listeners are the connections of this host that hear a channel.
func Listeners(channel string) uint32 { return wit.Listeners(channel) }

// Kept are the last frames that a channel keeps, at most so many, the oldest first.
func Kept(channel string, most uint32) []Frame { return wit.Recent(channel, most) }

// Done is an answer of the channels as an error.
func Done(result types.Result[types.Unit, wit.Error]) error {
	_, err := result.Answer(Describe)
	return err
}

// Describe is an error of the channels as Go has it.
func Describe(err wit.Error) error {
	switch err.Tag() {
	case wit.ErrorInvalid:
		return fmt.Errorf("%w: %s", ErrInvalid, err.Invalid())
	case wit.ErrorTooMany:
		return ErrTooMany
	default:
		return fmt.Errorf("%w: %s", ErrUnavailable, err.Unavailable())
	}
}
