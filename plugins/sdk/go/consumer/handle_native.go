//go:build !wasip1

package consumer

// Handle says who handles the messages of this plugin. Call it in an init function.
func Handle(Handler) {}
