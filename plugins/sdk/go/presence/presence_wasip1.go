// Package presence shows who is in a channel. Showing tells nobody: publish what your clients
// understand. Needs `[needs.channels]` in the manifest.
package presence

import (
	"trellis/channels"
	wit "trellis/internal/wit/trellis_streaming_presence"
)

// Shown is one connection that is shown: its number, who it is, and what others may know.
type Shown = wit.Shown

// Show shows a connection in a channel, or replaces what is shown of it.
func Show(connection uint64, channel, key, meta string) error {
	return channels.Done(wit.Show(connection, channel, key, meta))
}

// Hide shows it no longer.
func Hide(connection uint64, channel string) { wit.Hide(connection, channel) }

// Who is shown in a channel, in the order of their first Show.
func Who(channel string) []Shown { return wit.Who(channel) }
