// Package metrics has numbers for the host's `/metrics`, where each name gets `plugin_` before it
// and the label `plugin`.
package metrics

import (
	"trellis/internal/abi/types"
	wit "trellis/internal/wit/trellis_plugin_metrics"
)

// Label is a label of a series.
type Label struct{ Name, Value string }

// Count adds to a counter.
func Count(name string, by uint64, labels ...Label) { wit.Count(name, lower(labels), by) }

// Gauge sets a gauge.
func Gauge(name string, value float64, labels ...Label) { wit.Gauge(name, lower(labels), value) }

// Observe records one observation in a histogram; seconds and bytes are the units to use.
func Observe(name string, value float64, labels ...Label) { wit.Observe(name, lower(labels), value) }

func lower(labels []Label) []types.Tuple2[string, string] {
	lowered := make([]types.Tuple2[string, string], len(labels))
	for index, label := range labels {
		lowered[index] = types.Tuple2[string, string]{F0: label.Name, F1: label.Value}
	}
	return lowered
}
