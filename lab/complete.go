//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/posener/complete"
	"github.com/willabides/kongplete"

	"socketlab/lab/experiment"
	"socketlab/lab/live"
	"socketlab/lab/report"
	"socketlab/lab/verify"
	"socketlab/models/all"
)

type completionCmd struct{}

func (completionCmd) Help() string {
	return `Examples:
  source <(lab completion)                for this shell
  lab completion >>~/.bashrc              for all that you open from now on`
}

// Run prints what kongplete tells the login shell, or else bash; it would end
// the program with that. To bash it adds that where lab knows nothing it may be
// the name of a file.
func (completionCmd) Run(ctx *kong.Context) error {
	var code strings.Builder
	stdout, exit := ctx.Stdout, ctx.Exit
	ctx.Stdout, ctx.Exit = &code, func(int) {}
	err := new(kongplete.InstallCompletions).BeforeApply(ctx)
	ctx.Stdout, ctx.Exit = stdout, exit
	if err != nil { // a login shell that it does not know, such as sh
		program, err := os.Executable()
		if err != nil {
			return err
		}
		fmt.Fprintf(&code, "complete -C %s lab\n", program)
	}
	_, err = fmt.Print(strings.Replace(code.String(), "complete -C ", "complete -o default -C ", 1))
	return err
}

// predictors are what tab completion knows of values, by the name in a field's
// predictor tag.
var predictors = kongplete.WithPredictors(map[string]complete.Predictor{
	"model":      complete.PredictFunc(func(complete.Args) []string { return all.Names() }),
	"experiment": complete.PredictFunc(func(complete.Args) []string { return append(experiment.Names(), "all") }),
	"scene":      complete.PredictFunc(func(complete.Args) []string { return append(sceneNames(), "list") }),
	"live-scene": complete.PredictFunc(func(complete.Args) []string { return append(live.Names(), "list") }),
	"models":     list(func() []string { return append(all.Names(), "all") }),
	"checks":     list(checkIDs),
	"weights":    list(func() []string { return withEquals(checkIDs()) }),
	"reports":    complete.PredictFunc(func(complete.Args) []string { return withEquals(report.VerifyFormats.Names()) }),
})

func checkIDs() (ids []string) {
	for _, c := range verify.Checks {
		ids = append(ids, c.ID)
	}
	return ids
}

// withEquals is for names that go on: close/half=2, json=FILE.
func withEquals(names []string) (begun []string) {
	for _, name := range names {
		begun = append(begun, name+"=")
	}
	return begun
}

// list predicts one more of the names after those that are there already, with
// commas between them.
func list(names func() []string) complete.Predictor {
	return complete.PredictFunc(func(args complete.Args) []string {
		there := args.Last[:strings.LastIndexByte(args.Last, ',')+1]
		var predicted []string
		for _, name := range names() {
			if !slices.Contains(strings.Split(there, ","), name) {
				predicted = append(predicted, there+name)
			}
		}
		return predicted
	})
}
