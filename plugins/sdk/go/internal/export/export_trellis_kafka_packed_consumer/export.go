// Package export_trellis_kafka_packed_consumer is where the generated export finds the handler.
package export_trellis_kafka_packed_consumer

import (
	"trellis/internal/abi/types"
	wit "trellis/internal/wit/trellis_kafka_types"
)

// To is who handles a batch.
var To func(batch []byte) types.Result[types.Unit, wit.Failure]

// Handle is called by the host.
func Handle(batch []byte) types.Result[types.Unit, wit.Failure] { return To(batch) }
