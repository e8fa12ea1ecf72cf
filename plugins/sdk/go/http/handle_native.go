//go:build !wasip1

package http

// Handle says who answers the requests of this plugin. Call it in an init function.
func Handle(Handler) {}
