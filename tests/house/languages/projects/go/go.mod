module it

go 1.25

require trellis v0.0.0

replace trellis => ./.trellis/go
