// Package job does what the manifest's `[[schedule]]` asks for again and again.
//
//	func init() { job.Handle(func(job job.Job) error { return clean(job.Due) }) }
package job

import (
	"time"

	"trellis/internal/abi/types"
	"trellis/internal/call"
	export "trellis/internal/export/export_trellis_jobs_job_handler"
	wit "trellis/internal/wit/trellis_jobs_job_handler"

	// The exported function itself.
	_ "trellis/internal/exports/job"
)

// Job is what is to be done.
type Job struct {
	// Identifies the run in the log.
	ID string
	// The name of the `[[schedule]]` table.
	Name string
	// When the run was due.
	Due time.Time
	// Counts the runs for the same due time, from 1.
	Attempt uint32
	// What was handed over with the job.
	Payload []byte
}

// Handle says who does the work. Call it in an init function. An error and a panic are told in the
// log, and the next run comes when it is due.
func Handle(run func(Job) error) {
	export.To = func(job wit.Job) (result types.Result[types.Unit, string]) {
		defer call.End()
		defer func() {
			if reason := recover(); reason != nil {
				result = types.Err[types.Unit](call.Panic("the job", reason).Error())
			}
		}()
		due := time.UnixMilli(int64(job.DueMs)).UTC()
		if err := run(Job{job.Id, job.Name, due, job.Attempt, job.Payload}); err != nil {
			return types.Err[types.Unit](err.Error())
		}
		return types.Ok[types.Unit, string](types.Unit{})
	}
}
