// Package all is the catalogue: every model, in the order in which to read.
package all

import (
	"socketlab/models"
	"socketlab/models/blocking"
	"socketlab/models/goroutine"
	"socketlab/models/pollloop"
	"socketlab/models/process"
	"socketlab/models/selectloop"
)

// Models are the pages, each one a step from the one before.
var Models = []models.Model{
	blocking.Model,
	process.Model,
	goroutine.Model,
	selectloop.Model,
	pollloop.Model,
}
