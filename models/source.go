package models

import "embed"

// Source is the pages' own text, for whoever shows a line of it:
// "pollloop/poll.go".
//
//go:embed */*.go
var Source embed.FS
