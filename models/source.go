package models

import "embed"

// Source is the pages' own text, for whoever shows a line of it:
// "pollloop/poll.go".
//
// The patterns leave out tests: one takes the names that do not end in "t", the
// other those that do, but not in "st".
//
//go:embed */*[^t].go */*[^s]t.go
var Source embed.FS
