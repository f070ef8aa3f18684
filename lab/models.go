//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"text/tabwriter"

	"socketlab/lab/text"
	"socketlab/models"
	"socketlab/models/all"
)

type modelsCmd struct {
	JSON bool `name:"json" help:"Print one JSON document, schema lab.models/1."`
}

func (modelsCmd) Help() string {
	return `The order is the reading order: each page is a step from the one before.

LIMIT is how many clients a model serves at once by design; the others wait.
"none" means that only the machine's own limits count.

Examples:
  lab models                      as a table
  lab models --json | jq          for programs`
}

func (cmd modelsCmd) Run() error {
	if cmd.JSON {
		return printModelsJSON()
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MODEL\tWAITS IN\tONE CLIENT COSTS\tLIMIT\tPAGE")
	for _, m := range all.Every() {
		limit := "none"
		if m.Limit > 0 {
			limit = strconv.Itoa(m.Limit)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", m.Name, m.Waits, m.Holds, limit, path.Dir(m.Page()))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, m := range all.Every() {
		if err := m.Runs(); err != nil {
			fmt.Printf("\n%s\n", strings.ReplaceAll(err.Error(), "; ", ";\n"))
		}
	}
	return nil
}

// modelsHere are those that run on this machine; about the others it complains.
func modelsHere() (here []models.Model) {
	for _, m := range all.Models {
		if err := m.Runs(); err != nil {
			complain(err)
			continue
		}
		here = append(here, m)
	}
	return here
}

// modelsDocument is what lab models --json prints.
type modelsDocument struct {
	Schema string      `json:"schema"`
	Models []modelCard `json:"models"`
}

type modelCard struct {
	Name      string `json:"name"`
	Summary   string `json:"summary"`
	Holds     string `json:"holds"`
	Waits     string `json:"waits"`
	Limit     int    `json:"limit"`
	Page      string `json:"page"`
	Available bool   `json:"available"`
	Why       string `json:"why"` // why it is not available here
}

func printModelsJSON() error {
	doc := modelsDocument{Schema: "lab.models/1"}
	for _, m := range all.Every() {
		why := ""
		if err := m.Runs(); err != nil {
			why = errors.Unwrap(err).Error()
		}
		doc.Models = append(doc.Models, modelCard{m.Name, m.Summary, m.Holds, m.Waits, m.Limit, m.Page(), why == "", why})
	}
	return text.JSON(os.Stdout, doc)
}

// A modelFlag is the value of --model where it names one model.
type modelFlag struct{ models.Model }

func (f *modelFlag) UnmarshalText(name []byte) (err error) {
	f.Model, err = all.Named(string(name))
	return err
}
