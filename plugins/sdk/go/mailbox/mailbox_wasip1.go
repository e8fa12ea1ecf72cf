// Package mailbox has connections without a socket, for clients that poll. Needs
// `[needs.channels]` in the manifest.
package mailbox

import (
	"time"

	"trellis/channels"
	wit "trellis/internal/wit/trellis_streaming_mailboxes"
)

// Open opens one, which ends when nobody has read it for so long, a second to ten minutes.
func Open(tag string, idle time.Duration) (uint64, error) {
	return wit.Open(tag, uint64(idle.Milliseconds())).Answer(channels.Describe)
}

// Read takes what waits, at most so many frames, and waits for the first one where nothing does.
// It is false where the mailbox has ended.
func Read(connection uint64, most uint32, wait time.Duration) ([]channels.Frame, bool) {
	return wit.Read(connection, most, uint64(max(wait.Milliseconds(), 0))).Get()
}
