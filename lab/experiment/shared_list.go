package experiment

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"socketlab/lab/subject"
)

var sharedList = Experiment{
	Name: "shared-list", Title: "three threads, one list, no lock",
	Lesson: 3, Takes: 6 * time.Second,
	Bug:  Bug{C: "list"},
	Look: "lines that clients who stayed the whole time did not get, or got twice",
	Why:  "While one thread walks over the list, another takes an entry out or puts one in, and all behind it move by one place: who stood there is passed over, or met twice. It happens only when two things fall together, so a test with three clients does not show it. A lock around every look and every change is the cure; the race detector finds the place.",
	Read: "pthreads(7); docs/models/roles.md",
	Page: "models/roles/roles.go:Lock()",
	Ask: func(seed *rand.Rand) Question {
		stay := 20 + seed.IntN(20)
		return Question{
			Asks: fmt.Sprintf("One thread accepts, one takes out those who left, one says the operator's lines to all. They share a list, without a lock. %d clients stay and listen while others come and go. Does each of the %d get each line once?", stay, stay),
			Says: []Choice{
				{"yes: they have been in the list all the time", "They were in it, but not always at the same place."},
				{"no: some lines are lost, or come twice", ""},
				{"no: the server crashes at once", "It may crash some day. What happens mostly is worse: it goes on, and is wrong."},
			},
			Right: 1, Mended: 0,
			Run: func(r *Run) (int, string) {
				lost, twice, died := broadcast(r, r.Wrong(r.bug), stay)
				r.Column("list", "lines lost", lost, "lines doubled", twice, "data races reported", races(r, stay))
				heard := first(r)
				wrong := lost+twice > 0
				saw := which(!died && !wrong, !died && wrong, died)
				return saw, fmt.Sprintf("Of %d lines to each of %d clients %d were lost and %d came twice. (Another bug of the same program: it clears the line inside the loop; then %d of 4 clients hear the operator.)", lines, stay, lost, twice, heard)
			},
		}
	},
}

const lines = 300

// broadcast has the operator say lines to clients that stay, while others come
// and go, and counts what those who stay get.
func broadcast(r *Run, s *Server, stay int) (lost, twice int, died bool) {
	var stays []*Client
	for range stay {
		stays = append(stays, s.Dial())
	}
	r.Until(patience, func() bool { return s.Tree().Files >= stay+4 })
	done := make(chan bool)
	var guests sync.WaitGroup
	for range 2 {
		guests.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					c := s.Dial()
					time.Sleep(2 * time.Millisecond)
					c.Close()
				}
			}
		})
	}
	for i := range lines {
		fmt.Fprintf(s.Operator(), "line %d\n", i)
		r.Sleep(2 * time.Millisecond)
	}
	close(done)
	guests.Wait()
	r.Sleep(100 * time.Millisecond)
	for _, c := range stays {
		got, _ := c.Recv(1<<20, 20*time.Millisecond)
		for i := range lines {
			switch n := strings.Count("\n"+got, fmt.Sprintf("\nline %d\n", i)); {
			case n == 0:
				lost++
			case n > 1:
				twice += n - 1
			}
		}
	}
	_, died = s.Ending()
	return lost, twice, died
}

// races has the same program run under the race detector of the C compiler, and
// counts its reports.
func races(r *Run, stay int) (said string) {
	defer func() {
		if end, ok := recover().(stop); ok {
			said = "– (" + strings.SplitN(end.err.Error(), "\n", 2)[0] + ")"
		}
	}()
	flags := []string{"-fsanitize=thread"}
	if r.Repaired {
		flags = append(flags, "-DREPAIRED")
	}
	path := r.build("list", flags...)
	s := r.Start(subject.Spec{Name: "list", Command: []string{path, "{port}"}, Env: []string{"TSAN_OPTIONS=exitcode=0"}})
	broadcast(r, s, stay)
	s.Stop()
	return fmt.Sprint(strings.Count(string(s.Output()), "WARNING: ThreadSanitizer: data race"))
}

// first is how many of four clients hear the operator of a server that clears
// its buffer inside the loop over the clients.
func first(r *Run) (heard int) {
	s := r.Broken("tells-only-the-first")
	var all []*Client
	for i := range 4 {
		c := s.Dial()
		c.Send("hello\n")
		r.Until(patience, func() bool { return strings.Count(string(s.Stdout()), "hello") > i })
		all = append(all, c)
	}
	fmt.Fprintf(s.Operator(), "good day\n")
	for _, c := range all {
		if got, _ := c.Recv(9, 200*time.Millisecond); got == "good day\n" {
			heard++
		}
	}
	return heard
}
