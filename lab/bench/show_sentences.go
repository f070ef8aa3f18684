package bench

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"socketlab/lab/text"
)

// Sentences say what the tables cannot: what failed or does not count, the
// noise, what an open loop could not send. An empty one is a gap.
func (r Result) Sentences() (lines []string) {
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	gap := func() {
		if len(lines) == 0 || lines[len(lines)-1] != "" {
			lines = append(lines, "")
		}
	}
	gap()
	r.sayFailed(say)
	r.sayDisturbed(say)
	gap()
	for j := range r.Points {
		if _, known := r.AsGoodAt(j); known {
			say("As good as C: CPU time and p99 of the C twin, divided by the model's, and requests per second of the model, divided by the twin's, in each round: the median of the rounds, and its interval. 1.00 is as good, more is better.")
			gap()
			break
		}
	}
	r.sayLate(say)
	r.sayCalls(say)
	gap()
	if r.sayNoise(say) {
		say("CPU is: CPU time per request, compared with %s in the same rounds; ?: it takes more of them to tell.", r.Subjects[r.First].Name)
	}
	r.sayBefore(say)
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// Caveats say who failed, what does not count, and how much noise there was.
func (r Result) Caveats() (lines []string) {
	r = r.Harmless()
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	r.sayFailed(say)
	r.sayDisturbed(say)
	r.sayNoise(say)
	return lines
}

func (r Result) sayFailed(say func(string, ...any)) {
	for _, s := range r.Subjects {
		if s.Failure != "" {
			say("%s FAILED: %s", s.Name, s.Failure)
		}
	}
}

// sayDisturbed says for each point whose figures are not to be compared, and why
// those of the first are not; and which differences are clear all the same.
func (r Result) sayDisturbed(say func(string, ...any)) {
	noisy := false
	for j := range r.Points {
		var names, clear []string
		why := ""
		for _, s := range r.Subjects {
			cell := s.Cells[j]
			if cell.Invalid != "" {
				names = append(names, s.Name)
				why = cmp.Or(why, cell.Invalid)
			}
			if v := cell.Noisy["cpu"]; v.Different {
				clear = append(clear, fmt.Sprintf("%s needs × %s the CPU time of %s, %s against %s",
					s.Name, times(v.Ratio), r.Subjects[r.First].Name, cell.Figures("cpu")[0], r.Subjects[r.First].Cells[j].Figures("cpu")[0]))
			}
		}
		if len(names) > 0 {
			say("~ marks what was disturbed with %s, at %s. Of %s, %s.", r.Title(j), strings.Join(names, ", "), names[0], why)
		}
		if len(clear) > 0 {
			say("Clear, though noisy, with %s: %s.", r.Title(j), strings.Join(clear, "; "))
		}
		noisy = noisy || len(names)+len(clear) > 0
	}
	if noisy {
		say("Quiet figures of our models are in docs/results.md.")
	}
}

func (r Result) sayLate(say func(string, ...any)) {
	measured := func(s Subject) bool {
		return slices.ContainsFunc(s.Cells, func(c Cell) bool { return len(c.Runs) > 0 })
	}
	if r.Setting.Mode != "rate" || !slices.ContainsFunc(r.Subjects, measured) {
		return
	}
	for j := range r.Points {
		for _, s := range r.Subjects {
			cell := s.Cells[j]
			if late, all := cell.late(); late > 0 {
				var unsent int64
				for _, run := range cell.Runs {
					unsent += run.Unsent
				}
				say("%s with %s: %s of %s requests late, %s of them never sent.",
					s.Name, r.Title(j), text.Number(int(late)), text.Number(int(all)), text.Number(int(unsent)))
			}
		}
	}
	say("late: could not be sent in time, since their clients still waited. p50 and p99 count from the moment that was planned; naive p99 from that of sending, which leaves out how long a request had to wait for its turn.")
}

func (r Result) sayCalls(say func(string, ...any)) {
	for j := range r.Points {
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
				return cmp.Or(cmp.Compare(cell.Calls[b], cell.Calls[a]), cmp.Compare(a, b))
			})
			each := ""
			for _, name := range names {
				if cell.Calls[name] >= 0.005 {
					each += fmt.Sprintf(", %.2f %s", cell.Calls[name], name)
				}
			}
			say("system calls per request, %s with %s, counted by %s: %.2f%s",
				s.Name, r.Title(j), cell.CallsBy, total, strings.Replace(each, ",", " =", 1))
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
	name := first.Name
	if !known {
		say("How much %s differs from itself is not known: nothing else is compared.", name)
		return false
	}
	say("%s, measured twice in each round, differs from itself by up to %s in CPU time: no smaller difference is told.", name, percent(worst))
	if worst > mostNoise {
		say("That is more than %s, so only what is far beyond it is told; try again on a quiet machine.", percent(mostNoise))
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
	say("Compared with %s, by the medians; what is the same for all is the machine's:", r.Setting.Baseline)
	for j := range r.Points {
		for _, s := range r.shown() {
			cell := s.Cells[j]
			if len(cell.Before) == 0 {
				if len(cell.Runs) > 0 {
					say("  %s with %s: not there, or disturbed", s.Name, r.Title(j))
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
			say("  %s with %s: %s", s.Name, r.Title(j), strings.TrimPrefix(each, ", "))
		}
	}
}
