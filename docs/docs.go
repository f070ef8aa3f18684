// Package docs is those of the documents that the lab itself shows.
package docs

import "embed"

// Lessons are the pages that lab lesson steps through.
//
//go:embed lessons/*.md
var Lessons embed.FS
