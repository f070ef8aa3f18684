package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/bench/twin"
	"socketlab/lab/subject"
)

// BenchmarkGenerator tells what a request costs the generator, beside one in C
// of the same shape, in turn on the same server: if it cost much more, the
// generator would be the limit before the server is.
func BenchmarkGenerator(b *testing.B) {
	inC, err := twin.Build(b.Context(), "", twin.Generator)
	if err != nil {
		b.Skip(err)
	}
	epoll, err := twin.Build(b.Context(), "", "epoll")
	if err != nil {
		b.Fatal(err)
	}
	const took = 500 * time.Millisecond
	o := Options{Setting: Setting{Mode: "echo"}, Duration: took, Patience: 10 * time.Second}
	o.divide()
	for _, clients := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			server := newSubject(Subject{Name: "C epoll", Command: []string{epoll, "{port}"}}, nil)
			var ours, theirs []float64
			for b.Loop() {
				m, err := o.run(b.Context(), &server, Point{Clients: clients, Size: 64})
				if err != nil {
					b.Fatal(err)
				}
				ours = append(ours, m.Cost)
				theirs = append(theirs, o.costInC(b, inC, &server, clients))
			}
			slices.Sort(ours)
			slices.Sort(theirs)
			median := func(all []float64) float64 { return all[len(all)/2] }
			b.ReportMetric(median(ours), "µs/req")
			b.ReportMetric(median(theirs), "µs/req-in-C")
			b.ReportMetric(median(ours)/median(theirs), "ratio")
			b.ReportMetric(0, "ns/op") // two programs a turn: no figure of interest
		})
	}
}

// costInC is the CPU time of the generator in C for a request, in µs.
func (o Options) costInC(b *testing.B, program string, s *Subject, clients int) float64 {
	server, err := o.start(b.Context(), s)
	if err != nil {
		b.Fatal(err)
	}
	defer server.Stop()
	out, err := o.pinned(b.Context(), program, server, clients)
	if err != nil {
		b.Fatal(err)
	}
	var said struct {
		CPU float64 `json:"cpu_us_per_request"`
	}
	if err := json.Unmarshal(out, &said); err != nil {
		b.Fatal(err)
	}
	return said.CPU
}

// pinned runs the generator in C on the CPUs that are ours.
func (o Options) pinned(ctx context.Context, program string, server *subject.Subject, clients int) ([]byte, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	was, err := pin(o.CPUs)
	if err == nil {
		defer unix.SchedSetaffinity(0, &was)
	}
	port := strconv.Itoa(int(server.Addr().Port()))
	seconds := strconv.FormatFloat(o.Duration.Seconds(), 'f', -1, 64)
	return exec.CommandContext(ctx, program, port, strconv.Itoa(clients), "64", seconds).Output()
}
