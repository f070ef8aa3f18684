package bench

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"socketlab/lab/text"
)

// Sentences say what the tables cannot: what failed or does not count, the
// noise, what an open loop could not send.
func (r Result) Sentences() (lines []string) {
	say := func(format string, args ...any) {
		lines = append(lines, strings.Split(text.Prose(fmt.Sprintf(format, args...), "    ", 80), "\n")...)
	}
	gap := func() {
		if len(lines) > 0 && lines[len(lines)-1] == "" {
			return
		}
		lines = append(lines, "")
	}
	gap()
	r.sayFailed(say)
	r.sayInvalid(say)
	gap()
	twins := false
	for j := range r.Points {
		_, known := r.AsGoodAt(j)
		twins = twins || known
	}
	if twins {
		gap()
		say("As good as C: CPU time and p99 of the C twin, divided by the model's, and requests per second of the model, divided by the twin's, in each round: the median of the rounds, and its interval. 1.00 is as good, more is better.")
	}
	gap()
	r.sayLate(say)
	r.sayCalls(say)
	gap()
	if r.sayNoise(say) {
		say("CPU is: CPU time per request, compared with %s in the same rounds; ?: it takes more of them to tell.", text.Line(r.Subjects[r.First].Name))
	}
	r.sayBefore(say)
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func (r Result) sayFailed(say func(string, ...any)) {
	for _, s := range r.Subjects {
		if s.Failure != "" {
			say("%s FAILED: %s", text.Line(s.Name), text.Line(s.Failure))
		}
	}
}

// sayInvalid says for each point who is not to be compared, and why the first of
// them is not.
func (r Result) sayInvalid(say func(string, ...any)) {
	for j, p := range r.Points {
		var names []string
		why := ""
		for _, s := range r.Subjects {
			if cell := s.Cells[j]; cell.Invalid != "" {
				names = append(names, text.Line(s.Name))
				why = cmp.Or(why, cell.Invalid)
			}
		}
		if len(names) > 0 {
			say("INVALID with %s: %s. Of %s, %s.", r.title(p), strings.Join(names, ", "), names[0], why)
		}
	}
}

func (r Result) sayLate(say func(string, ...any)) {
	measured := func(s Subject) bool {
		return slices.ContainsFunc(s.Cells, func(c Cell) bool { return len(c.Runs) > 0 })
	}
	if r.Setting.Mode != "rate" || !slices.ContainsFunc(r.Subjects, measured) {
		return
	}
	for j, p := range r.Points {
		for _, s := range r.Subjects {
			cell := s.Cells[j]
			if late, all := cell.late(); late > 0 {
				var unsent int64
				for _, run := range cell.Runs {
					unsent += run.Unsent
				}
				say("%s with %s: %s of %s requests late, %s of them never sent.",
					text.Line(s.Name), r.title(p), text.Number(int(late)), text.Number(int(all)), text.Number(int(unsent)))
			}
		}
	}
	say("late: could not be sent in time, since their clients still waited. p50 and p99 count from the moment that was planned; naive p99 from that of sending, which leaves out how long a request had to wait for its turn.")
}

func (r Result) sayCalls(say func(string, ...any)) {
	for j, p := range r.Points {
		for _, s := range r.Subjects {
			cell := s.Cells[j]
			if cell.CallsBy == "" {
				continue
			}
			total := 0.0
			for _, n := range cell.Calls {
				total += n
			}
			names := slices.SortedFunc(maps.Keys(cell.Calls), func(a, b string) int {
				if cell.Calls[a] == cell.Calls[b] {
					return strings.Compare(a, b)
				}
				return int(math.Copysign(1, cell.Calls[b]-cell.Calls[a]))
			})
			each := ""
			for _, name := range names {
				if cell.Calls[name] >= 0.005 {
					each += fmt.Sprintf(", %.2f %s", cell.Calls[name], name)
				}
			}
			say("system calls per request, %s with %s, counted by %s: %.2f%s",
				text.Line(s.Name), r.title(p), cell.CallsBy, total, strings.Replace(each, ",", " =", 1))
		}
	}
}

// sayNoise says what can be told apart, and reports whether anything is compared.
func (r Result) sayNoise(say func(string, ...any)) (compared bool) {
	last := Subject{}
	if len(r.Subjects) > 0 {
		last = r.Subjects[len(r.Subjects)-1]
	}
	if !last.Again || r.Setting.Mode == "idle" {
		return false
	}
	first, worst, known := r.Subjects[r.First], 0.0, false
	for j := range r.Points {
		if first.Cells[j].Invalid != "" || last.Cells[j].Invalid != "" || len(last.Cells[j].Runs) == 0 {
			continue
		}
		known = true
		worst = max(worst, r.noise(j, metricNamed("cpu")))
	}
	name := text.Line(first.Name)
	if !known {
		say("How much %s differs from itself is not known: nothing is compared.", name)
		return false
	}
	say("%s, measured twice in each round, differs from itself by up to %s in CPU time: no smaller difference is told.", name, percent(worst))
	if worst > mostNoise {
		say("INVALID: where that is more than %s nothing is compared; try again on a quiet machine.", percent(mostNoise))
	}
	if r.Setting.Rounds < enough {
		say("With fewer than %d rounds no difference can be told from chance.", enough)
	}
	return true
}

func (r Result) sayBefore(say func(string, ...any)) {
	if r.Setting.Baseline == "" {
		return
	}
	say("Compared with %s, by the medians; what is the same for all is the machine's:", text.Line(r.Setting.Baseline))
	for j, p := range r.Points {
		for _, s := range r.shown() {
			cell := s.Cells[j]
			if len(cell.Before) == 0 {
				if len(cell.Runs) > 0 {
					say("  %s with %s: not there, or INVALID", text.Line(s.Name), r.title(p))
				}
				continue
			}
			each := ""
			for _, name := range compared {
				v, there := cell.Before[name]
				switch {
				case there && v.Different:
					each += fmt.Sprintf(", %s × %s (p = %.3f)", name, times(v.Ratio), v.P)
				case there && name == "cpu":
					each += fmt.Sprintf(", cpu × %s (p = %.3f: chance or noise)", times(v.Ratio), v.P)
				}
			}
			say("  %s with %s: %s", text.Line(s.Name), r.title(p), strings.TrimPrefix(each, ", "))
		}
	}
}
