package consumer

import (
	"trellis/internal/abi/types"
	"trellis/internal/call"
	export "trellis/internal/export/export_trellis_kafka_packed_consumer"
	wit "trellis/internal/wit/trellis_kafka_types"

	// The exported function itself.
	_ "trellis/internal/exports/consumer"
)

// Handle says who handles the messages of this plugin. Call it in an init function.
func Handle(handler Handler) {
	export.To = func(batch []byte) types.Result[types.Unit, wit.Failure] {
		defer call.End()
		// The host looks for the message behind a panic itself; so this one goes on.
		defer call.Rethrow("the handler")
		if failure := handler.Run(batch); failure != nil {
			return types.Err[types.Unit](wit.Failure{
				Index: failure.Index, Reason: failure.Reason.Error(), Action: action(failure),
			})
		}
		return types.Ok[types.Unit, wit.Failure](types.Unit{})
	}
}

func action(failure *Failure) wit.FailureAction {
	switch {
	case failure.Dead:
		return wit.MakeFailureActionDeadLetter()
	case failure.After > 0:
		return wit.MakeFailureActionRetry(types.Some(uint64(failure.After.Milliseconds())))
	default:
		return wit.MakeFailureActionRetry(types.None[uint64]())
	}
}
