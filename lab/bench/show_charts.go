package bench

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"socketlab/lab/report"
	"socketlab/lab/text"
)

// Pictures are the charts of a result, as far as there is something to show.
func (r Result) Pictures() (all []Picture) {
	r = r.Harmless()
	if r.Setting.Mode != "idle" {
		rate := "requests per second"
		if r.Setting.Mode == "churn" {
			rate = "connections per second"
		}
		all = append(all, r.over("requests", rate, "rate"), r.over("cpu", "CPU time of the server per request", "cpu"), r.latencies(), r.shares())
	}
	all = append(all, r.over("memory", "memory per client", "per_client"))
	return slices.DeleteFunc(all, func(p Picture) bool { return p.SVG == "" })
}

// over shows a metric over the points: as lines, or as bars if it is known at
// one of them only.
func (r Result) over(file, title, name string) Picture {
	c := chart{title: title, x: r.axis(), write: metricNamed(name).write, unit: 1}
	if name == "per_client" {
		c.unit = 1 << 10
	}
	for _, p := range r.Points {
		c.ticks = append(c.ticks, tick{r.x(p), text.Number(int(r.x(p)))})
	}
	most, least := 0.0, math.Inf(1)
	looks, known := r.looks(), map[int]bool{} // at which points
	for _, s := range r.shown() {
		line := series{name: s.Name, look: looks[s.Name]}
		for j, p := range r.Points {
			if e := s.Cells[j].Summary[name]; s.Cells[j].Invalid == "" && e.Median > 0 {
				line.points = append(line.points, dot{r.x(p), e.Median, e.Lo, e.Hi})
				most, least = max(most, e.Median), min(least, e.Median)
				known[j] = true
			}
		}
		if len(line.points) > 0 {
			c.series = append(c.series, line)
		}
	}
	if len(known) == 1 {
		b := bars{write: c.write}
		for point := range known {
			b.title = title + ", " + r.Title(point)
		}
		for _, s := range c.series {
			b.rows = append(b.rows, bar{name: s.name, look: s.look, parts: []float64{s.points[0].y}})
		}
		return b.draw(file)
	}
	const far = 20 // more than that, and the small ones would lie on the ground
	c.y0 = most/least < far
	return c.draw(file)
}

// shown are the subjects without the one that is there for the noise.
func (r Result) shown() (all []Subject) {
	for _, s := range r.Subjects {
		if !s.Again {
			all = append(all, s)
		}
	}
	return all
}

// looks say how each subject is drawn, by its name: a twin as its model, but
// hollow and dotted. A model with two twins gives its look to the first.
func (r Result) looks() map[string]look {
	looks, next := map[string]look{}, 0
	var twins []string
	for _, s := range r.Subjects {
		twins = append(twins, s.Twins...)
	}
	for _, s := range r.shown() {
		if !slices.Contains(twins, s.Name) {
			looks[s.Name] = look{next, false}
			next++
		}
	}
	models := r.shown() // those with one twin choose first
	slices.SortStableFunc(models, func(a, b Subject) int { return len(a.Twins) - len(b.Twins) })
	for _, s := range models {
		for _, name := range s.Twins {
			if _, there := looks[name]; !there {
				looks[name] = look{looks[s.Name].number, true}
				break
			}
		}
	}
	for _, s := range r.shown() {
		if _, there := looks[s.Name]; !there {
			looks[s.Name] = look{next, true}
			next++
		}
	}
	return looks
}

func (r Result) axis() string {
	switch r.Setting.Over {
	case "idle":
		return fmt.Sprintf("silent clients besides %s busy", text.Number(r.Points[0].Clients))
	case "size":
		return "bytes of a message"
	}
	return "clients"
}

// busiest is the last point at which at least half of the subjects were
// measured.
func (r Result) busiest() (point int) {
	for j := range r.Points {
		n := 0
		for _, s := range r.shown() {
			if s.Cells[j].Invalid == "" && len(s.Cells[j].Runs) > 0 {
				n++
			}
		}
		if n > 0 && 2*n >= len(r.shown()) {
			point = j
		}
	}
	return point
}

// latencies shows which share of the requests took at most how long, the tail
// spread out: each mark stands for ten times fewer requests.
func (r Result) latencies() Picture {
	j := r.busiest()
	c := chart{
		title: "latency, " + r.Title(j), x: "of 100 requests, so many took at most …", write: duration, unit: 1, plain: true,
		ticks: []tick{{1, "0"}, {10, "90"}, {100, "99"}, {1000, "99.9"}, {10000, "99.99"}},
	}
	rarest, looks := 10.0, r.looks()
	for _, s := range r.shown() {
		cell := s.Cells[j]
		if cell.Invalid != "" || s.Failure != "" {
			continue
		}
		for k, h := range []Histogram{cell.Latency, cell.Naive} {
			if h.Histogram == nil || h.TotalCount() == 0 {
				continue
			}
			line := series{name: s.Name, look: looks[s.Name], naive: k == 1}
			if line.naive {
				line.name += " naive"
			}
			for one := 1.0; one <= float64(h.TotalCount())/10 && one <= 1e4; one *= math.Pow(10, 0.25) {
				y := float64(h.ValueAtPercentile(100-100/one)) / 1000
				line.points = append(line.points, dot{one, y, y, y})
				rarest = max(rarest, one)
			}
			if len(line.points) > 0 {
				c.series = append(c.series, line)
			}
		}
	}
	for len(c.ticks) > 2 && c.ticks[len(c.ticks)-1].at > rarest*1.5 {
		c.ticks = c.ticks[:len(c.ticks)-1]
	}
	return c.draw("latency")
}

// shares shows what of a request's CPU time is the program's and what the
// kernel's.
func (r Result) shares() Picture {
	j := r.busiest()
	c := bars{title: "what a request costs, " + r.Title(j), says: []string{"program (user)", "kernel (system)"}, write: duration}
	looks := r.looks()
	for _, s := range r.shown() {
		cell := s.Cells[j]
		cpu, measured := cell.Summary["cpu"]
		if cell.Invalid != "" || !measured {
			continue
		}
		row := bar{name: s.Name, look: looks[s.Name]}
		user, system := cell.Summary["user"].Median, cell.Summary["system"].Median
		if sampled := user + system; sampled > 0 {
			row.parts = []float64{cpu.Median * user / sampled, cpu.Median * system / sampled}
		} else {
			row.note = duration(cpu.Median) + ", whose is not known"
		}
		c.rows = append(c.rows, row)
	}
	return c.draw("shares")
}

// saveCharts writes each chart to a file of its own.
func (r Result) saveCharts(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, p := range r.Pictures() {
		to := report.Target{Format: "svg", File: filepath.Join(folder, p.Name+".svg")}
		if err := to.Write([]byte(p.SVG)); err != nil {
			return err
		}
	}
	return nil
}
