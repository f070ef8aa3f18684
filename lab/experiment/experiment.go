// Package experiment holds the experiments of lab exp. Each one asks a
// question, makes a phenomenon happen with real programs and the real kernel,
// and answers with a sentence that has its own measured numbers in it.
//
// One file is one experiment. What an experiment sees decides which of the
// answers is right; what the text says is right is only compared with that. So
// a run can contradict the text, and says so then.
package experiment

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// An Experiment is what lab exp lists, and the way to one variant of it.
type Experiment struct {
	Name    string
	Title   string        // the question in a few words
	Lesson  int           // 1 to 5, docs/lessons
	Takes   time.Duration // about
	Look    string        // what to look at in the table
	Why     string        // the explanation
	Read    string        // man page or RFC, with the section
	Page    string        // where a model shows it, FILE:WORD; "": nowhere
	Picture string        // the command that draws it; "": none does
	Models  []string      // the columns, unless --model names others; nil: it has columns of its own
	Own     bool          // a server of one's own may stand beside them
	Bug     Bug           // the program that is wrong; its zero value: none is
	Alone   bool          // it measures time or load: two at once would disturb each other

	// Ask is the variant that a seed gives.
	Ask func(seed *rand.Rand) Question
}

// A Question has one right answer among those to choose from.
type Question struct {
	Asks   string
	Says   []Choice
	Right  int // the answer that the text gives
	Mended int // the answer of the same run with the bug repaired

	// Run makes it happen. It returns which of the answers it saw, or None, and
	// the sentence that tells what was measured.
	Run func(r *Run) (saw int, sentence string)
}

// A Choice is an answer, and what is wrong with it.
type Choice struct {
	Text string
	But  string // "": nothing, or the sentence says it
}

// None is what Run returns when it saw none of the answers.
const None = -1

// which is the first answer that is true; None if none is. The answers are in
// the order of Says.
func which(answers ...bool) int { return slices.Index(answers, true) }

// All are the experiments, by lesson.
var All = []Experiment{
	waitingRoom, halfLine, cpuHog, scanCost, blindWhileTyping, emptyLine, stdioAndSelect,
	backlog, countTheClose, finOrRst, halfClose, timeWait, stream,
	zombies, runawayChild, outOfDescriptors, sigpipe, slowReader, sharedList,
	leakedDup, timeoutLeft, strlenMinusOne, operatorEOF, wall1024,
	price, herd, fortyMS, coordinatedOmission,
	tlsOpen, tlsTruncation,
}

// Find is the experiment with that name.
func Find(name string) (Experiment, bool) {
	i := slices.IndexFunc(All, func(e Experiment) bool { return e.Name == name })
	if i < 0 {
		return Experiment{}, false
	}
	return All[i], true
}

// Names are those of all.
func Names() (names []string) {
	for _, e := range All {
		names = append(names, e.Name)
	}
	return names
}

// Variant is the question that a seed gives. Its answers are in an order of the
// seed's own: a neighbour's letter is of no use.
func (e Experiment) Variant(seed uint64) Question {
	q := e.Ask(rand.New(rand.NewPCG(seed, 0)))
	order := rand.New(rand.NewPCG(seed, 1)).Perm(len(q.Says))
	place := func(choice int) int { return slices.Index(order, choice) } // None is not in it
	says, run := q.Says, q.Run
	q.Says = nil
	for _, choice := range order {
		q.Says = append(q.Says, says[choice])
	}
	q.Right, q.Mended = place(q.Right), place(q.Mended)
	q.Run = func(r *Run) (int, string) {
		saw, sentence := run(r)
		return place(saw), sentence
	}
	return q
}

// Letter is how an answer is called: a, b, c.
func Letter(choice int) string {
	if choice == None {
		return ""
	}
	return string(rune('a' + choice))
}

// Choose is the answer that a letter means.
func (q Question) Choose(letter string) (choice int, err error) {
	for i := range q.Says {
		if strings.EqualFold(letter, Letter(i)) {
			return i, nil
		}
	}
	return None, fmt.Errorf("%q is none of the answers; there are a to %s", letter, Letter(len(q.Says)-1))
}
