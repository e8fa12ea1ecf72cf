module trellis

go 1.25
