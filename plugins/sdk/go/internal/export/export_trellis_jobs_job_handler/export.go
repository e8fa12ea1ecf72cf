// Package export_trellis_jobs_job_handler is where the generated export finds the handler.
package export_trellis_jobs_job_handler

import (
	"trellis/internal/abi/types"
	wit "trellis/internal/wit/trellis_jobs_job_handler"
)

// To is who does the work.
var To func(job wit.Job) types.Result[types.Unit, string]

// Run is called by the host.
func Run(job wit.Job) types.Result[types.Unit, string] { return To(job) }
