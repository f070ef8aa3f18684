//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"socketlab/lab/diagram"
	"socketlab/lab/report"
	"socketlab/lab/trace"
	"socketlab/lab/verify"
)

// A witness is a trace.Witness of a check.
type witness struct{ *trace.Witness }

func (w witness) Called(c verify.Call) { w.Witness.Called(trace.Made(c)) }

// again is how a check that failed is played once more, to be drawn: where
// packets may be captured here, or else in a namespace where they may be. If
// neither is allowed, what can be concluded is drawn.
func (cmd *verifyCmd) again(ctx context.Context) func(context.Context, verify.Server, verify.Check, verify.Options) (report.Check, error) {
	if trace.Best(ctx).Rung == diagram.Namespace {
		return cmd.againInside
	}
	return witnessed
}

// witnessed plays a check before a witness.
func witnessed(ctx context.Context, s verify.Server, c verify.Check, o verify.Options) (report.Check, error) {
	w := trace.NewWitness(c.ID)
	defer w.Close()
	result := verify.Again(ctx, s, c, o, witness{w})
	if result.Status != report.Fail {
		return result, nil
	}
	drawn, err := w.Trace()
	if err != nil {
		return result, err
	}
	drawn = drawn.Abridge(failure(drawn))
	result.Diagram = &drawn
	return result, nil
}

// failure is when the check failed: the last word of its story.
func failure(t diagram.Trace) (at time.Duration) {
	for _, e := range t.Events {
		if e.Note != nil && e.Note.Actor == "" {
			at = e.At
		}
	}
	return at
}

// againInside has another lab do it, in a namespace of its own.
func (cmd *verifyCmd) againInside(ctx context.Context, s verify.Server, c verify.Check, o verify.Options) (report.Check, error) {
	args := append([]string{"verify", "--json", "--witness", "--check=" + c.ID}, cmd.flagsFor(s)...)
	if o.Replay != nil {
		file, err := os.CreateTemp("", "lab-schedule-")
		if err != nil {
			return report.Check{}, err
		}
		defer os.Remove(file.Name())
		defer file.Close()
		if _, err := file.WriteString(o.Replay.String()); err != nil {
			return report.Check{}, err
		}
		args = append(args, "--replay="+file.Name())
	}
	answer, err := trace.Inside(ctx, append(args, commandFor(s)...)...)
	if err != nil {
		return report.Check{}, err
	}
	var result report.Verify
	if err := json.Unmarshal(answer, &result); err != nil {
		return report.Check{}, fmt.Errorf("in a namespace: %w", err)
	}
	if len(result.Subjects) != 1 || len(result.Subjects[0].Checks) != 1 {
		return report.Check{}, fmt.Errorf("in a namespace: %s", result.Failure)
	}
	return result.Subjects[0].Checks[0], nil
}

// bearWitness plays each check once, before a witness: --witness.
func (cmd *verifyCmd) bearWitness(ctx context.Context, servers []verify.Server, o verify.Options) (report.Verify, error) {
	result := report.Verify{Schema: "lab.verify/1", Started: time.Now()}
	for _, s := range servers {
		held := report.Subject{Name: s.Name, Kind: s.Kind, Command: s.Command("echo"), Limit: s.Limit}
		for _, c := range o.Checks {
			if !slices.Contains(s.Services, c.Service) {
				continue
			}
			check, err := witnessed(ctx, s, c, o)
			if err != nil {
				return result, err
			}
			held.Checks = append(held.Checks, check)
		}
		held.Count()
		result.Subjects = append(result.Subjects, held)
	}
	return result, nil
}

// flagsFor are the flags that say how the server is held to the checks.
func (cmd *verifyCmd) flagsFor(s verify.Server) (flags []string) {
	if s.Kind == "model" {
		flags = append(flags, "--model="+s.Name)
	} else {
		if cmd.Service != "echo" {
			flags = append(flags, "--service="+cmd.Service)
		}
		if s.Limit > 0 {
			flags = append(flags, "--limit="+strconv.Itoa(s.Limit))
		}
	}
	if s.Port > 0 {
		flags = append(flags, "--port="+strconv.Itoa(int(s.Port)))
	}
	if cmd.Timeout != 5*time.Second {
		flags = append(flags, "--timeout="+cmd.Timeout.String())
	}
	return flags
}

func commandFor(s verify.Server) []string {
	if s.Kind == "model" {
		return nil
	}
	return append([]string{"--"}, s.Command("")...)
}

// offerPictures says of each failure how it can be drawn.
func (cmd *verifyCmd) offerPictures(result report.Verify, servers []verify.Server) {
	for i, s := range result.Subjects {
		for j := range s.Checks {
			c := &s.Checks[j]
			if c.Status != report.Fail {
				continue
			}
			words := append([]string{"lab", "verify", "--check=" + c.ID, "--trace-failures"}, cmd.flagsFor(servers[i])...)
			if c.Schedule != "" {
				words[2] = "--replay=FILE"
			}
			words = append(words, commandFor(servers[i])...)
			c.Picture = typed(words)
		}
	}
}

// typed are words as they are typed into a shell.
func typed(words []string) string {
	quoted := slices.Clone(words)
	for i, word := range quoted {
		plain := strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./,:@%+{}") == ""
		if !plain || word == "" || strings.Contains(word, ",") && strings.Contains(word, "{") {
			quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
