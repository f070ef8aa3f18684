// Package all is the catalogue: every model, in the order in which to read.
package all

import (
	"fmt"
	"slices"
	"strings"

	"socketlab/models"
	"socketlab/models/blocking"
	"socketlab/models/epollloop"
	"socketlab/models/goroutine"
	"socketlab/models/offload"
	"socketlab/models/pollloop"
	"socketlab/models/pool"
	"socketlab/models/prefork"
	"socketlab/models/process"
	"socketlab/models/reactors"
	"socketlab/models/roles"
	"socketlab/models/selectloop"
	"socketlab/models/thread"
	"socketlab/models/tls"
	"socketlab/models/uringloop"
)

// Models are the pages, each one a step from the one before, and variants, which
// are steps to the side: Before.
var Models = []models.Model{
	blocking.Model,
	process.Model,
	prefork.Model,
	thread.Model,
	pool.Model,
	goroutine.Model,
	roles.Model,
	selectloop.Model,
	pollloop.Model,
	epollloop.Model,
	reactors.Model,
	offload.Model,
	uringloop.Model,
}

// Secured are variants that speak TLS. They stand apart: a client of plain TCP
// cannot talk to them.
var Secured = []models.Model{
	tls.Model,
}

// Every is every page there is.
func Every() []models.Model { return slices.Concat(Models, Secured) }

// Before is the model that a page is compared with: the step before it, or the
// one that it is a variant of. The first one has none.
func Before(m models.Model) (before models.Model, any bool) {
	for _, other := range Every() {
		switch {
		case other.Name == m.Name:
			return before, before.Name != ""
		case other.Name == m.Variant:
			return other, true
		case other.Variant == "":
			before = other
		}
	}
	return before, false
}

// Names are what --model takes.
func Names() (names []string) {
	for _, m := range Every() {
		names = append(names, m.Name)
	}
	return names
}

// Named is the model of that name, or of the tutorials' name for it, such as
// fork: Programs.
func Named(name string) (models.Model, error) {
	for _, m := range Every() {
		if m.Name == meant(name) {
			return m, nil
		}
	}
	return models.Model{}, fmt.Errorf("no model %q; there are %s", name, strings.Join(Names(), ", "))
}

// Child does the work of a process that one of the pages has started, and exits
// there. In any other it returns at once. It is called first thing in main.
func Child() {
	process.Child()
	prefork.Child()
}
