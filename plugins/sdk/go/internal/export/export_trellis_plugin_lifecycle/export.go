// Package export_trellis_plugin_lifecycle is where the generated exports find the hooks.
package export_trellis_plugin_lifecycle

import "trellis/internal/abi/types"

// The hooks.
var (
	ToStart func(saved types.Option[[]byte]) types.Result[types.Unit, string]
	ToSave  func() []byte
	ToStop  func()
)

// Start is called by the host.
func Start(saved types.Option[[]byte]) types.Result[types.Unit, string] { return ToStart(saved) }

// Save is called by the host.
func Save() []byte { return ToSave() }

// Stop is called by the host.
func Stop() { ToStop() }
