// Package lifecycle has hooks around a version of the plugin: before it goes live, before the next
// one starts, after its end. They run in the version's first instance.
//
//	func init() { lifecycle.Handle(lifecycle.Hooks{Start: start}) }
package lifecycle

import (
	"trellis/internal/abi/types"
	"trellis/internal/call"
	export "trellis/internal/export/export_trellis_plugin_lifecycle"

	// The exported functions themselves.
	_ "trellis/internal/exports/lifecycle"
)

// Hooks are what is done; nil is nothing.
type Hooks struct {
	// Before this version goes live, with what Save of the one before returned. An error keeps
	// the one before serving.
	Start func(saved []byte) error
	// Before the next version starts, which is handed the bytes; at most 16 MiB.
	Save func() []byte
	// After the last call of this version.
	Stop func()
}

// Handle says what is done. Call it in an init function.
func Handle(hooks Hooks) {
	export.ToStart = func(saved types.Option[[]byte]) types.Result[types.Unit, string] {
		defer call.End()
		defer call.Rethrow("start")
		if hooks.Start != nil {
			if err := hooks.Start(saved.Some()); err != nil {
				return types.Err[types.Unit](err.Error())
			}
		}
		return types.Ok[types.Unit, string](types.Unit{})
	}
	export.ToSave = func() []byte {
		defer call.End()
		defer call.Rethrow("save")
		if hooks.Save == nil {
			return nil
		}
		return hooks.Save()
	}
	export.ToStop = func() {
		defer call.Rethrow("stop")
		if hooks.Stop != nil {
			hooks.Stop()
		}
	}
}
