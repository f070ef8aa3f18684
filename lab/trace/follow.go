package trace

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"socketlab/lab/diagram"
)

// A follower reads the account of a source while it grows.
type follower struct {
	source Source
	parser *straceParser // of strace's output
	offset int64         // how far that was read
	half   string        // a line without an end, seen once

	account *account
	calls   []progress // of each call in the account: how far it was told
	first   int        // all calls before are told
	lives   []bool     // which of them are told

	acts map[string]bool // threads that have done more than a runtime's own do
}

type progress byte

const (
	untold progress = iota
	begun
	returned
)

func follow(s Source) *follower {
	f := &follower{source: s, acts: map[string]bool{}}
	switch s := s.(type) {
	case *probes:
		f.account = &s.account
	case *sampling:
		f.account = &s.account
	case *strace:
		f.parser = newStraceParser(s.server)
		f.account = &f.parser.account
	}
	return f
}

// An item is something that was seen, before its turn comes.
type item struct {
	at     time.Time
	rank   int // of what happened at the same time, causes come first
	tell   func(at time.Duration)
	packet *Packet

	call    *serverCall // that begins
	returns bool        // or returns
}

const (
	aNote = iota
	aSegment
	aState
	aCall
)

// refresh has the source put down what it has seen until now.
func (f *follower) refresh() {
	switch s := f.source.(type) {
	case *probes:
		if len(s.calls) > 0 {
			s.forgetOperator()
			s.forgetVain()
			s.numberFirst()
		}
	case *strace:
		f.read(s)
		f.parser.nameForks()
	}
	f.account.beginsBeforeCalls()
	f.account.endsBeforeReaped()
}

// read reads on in the output of strace. A line without an end is a call that
// has not returned, if it stays so; when more of it comes, it is read again as
// a whole, and is still the same call.
func (f *follower) read(s *strace) {
	text := make([]byte, 64<<10)
	for {
		n, _ := s.output.ReadAt(text, f.offset)
		whole := bytes.LastIndexByte(text[:n], '\n') + 1
		for line := range bytes.Lines(text[:whole]) {
			f.parser.line(string(bytes.TrimSuffix(line, []byte("\n"))))
		}
		f.offset += int64(whole)
		if whole > 0 {
			continue
		}
		half := string(text[:n])
		if half == f.half && half != "" {
			f.parser.line(half + unfinished)
		}
		f.half = half
		return
	}
}

// news are the calls and lives that were not told yet.
func (f *follower) news(tellCall func(i int, at time.Duration, returns bool), tellLife func(l diagram.Life, at time.Duration)) (items []item) {
	f.calls = append(f.calls, make([]progress, len(f.account.calls)-len(f.calls))...)
	for f.first < len(f.calls) && f.calls[f.first] == returned {
		f.first++
	}
	for i := f.first; i < len(f.calls); i++ {
		c := &f.account.calls[i]
		if c.hidden {
			continue
		}
		if f.idles(c) {
			items = append(items, item{at: c.begin, rank: aCall, tell: func(time.Duration) { f.calls[i] = returned }})
			continue
		}
		if f.calls[i] == untold {
			items = append(items, item{at: c.begin, rank: aCall, call: c, tell: func(at time.Duration) {
				f.calls[i] = begun
				tellCall(i, at, false)
			}})
		}
		if f.calls[i] != returned && !c.end.IsZero() {
			items = append(items, item{at: c.end, rank: aCall, call: c, returns: true, tell: func(at time.Duration) {
				f.calls[i] = returned
				tellCall(i, at, true)
			}})
		}
	}
	f.lives = append(f.lives, make([]bool, len(f.account.lives)-len(f.lives))...)
	for i, h := range f.account.lives {
		if f.lives[i] || strings.Contains(h.Life.Actor, "/") && !f.acts[h.Life.Actor] {
			continue
		}
		items = append(items, item{at: h.At, rank: aCall, tell: func(at time.Duration) {
			f.lives[i] = true
			tellLife(*h.Life, at)
		}})
	}
	return items
}

// idles reports whether a call is of no interest: that of a thread which so far
// only starts others, or waits for those who do the work.
func (f *follower) idles(c *serverCall) bool {
	if !strings.Contains(c.Actor, "/") || f.acts[c.Actor] {
		return false
	}
	f.acts[c.Actor] = c.client.IsValid() || !isFork(c.Name) && !strings.HasPrefix(c.Name, "epoll_")
	return !f.acts[c.Actor]
}

// inOrder puts items into the order of time.
func inOrder(items []item, port uint16, calls string) {
	if calls == "strace" {
		returnLater(items, port)
	}
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Or(a.at.Compare(b.at), a.rank-b.rank) })
}

// returnLater corrects what strace says of returns: see returnsAfter.
func returnLater(items []item, port uint16) {
	const most = time.Millisecond // late
	for i, it := range items {
		if !it.returns {
			continue
		}
		limit := it.at.Add(most)
		for _, other := range items {
			if c := other.call; c != nil && !other.returns && c.Actor == it.call.Actor && c.begin.After(it.call.begin) && c.begin.Before(limit) {
				limit = c.begin
			}
		}
		for _, p := range items {
			if p.packet != nil && p.at.After(it.at) && p.at.Before(limit) && concerns(*p.packet, port, it.call) {
				limit = p.at
				items[i].at = p.at.Add(1)
			}
		}
	}
}

// concerns says whether a packet may be what a call returned for, or sent.
func concerns(p Packet, port uint16, c *serverCall) bool {
	s, ok := parse(p.Frame)
	inward := receiving(c.Name) || isWait(c.Name) || strings.HasPrefix(c.Name, "accept")
	fromClient := s.to.Port() == port
	peer := s.from
	if !fromClient {
		peer = s.to
	}
	wanted := s.length > 0 || s.flags&^ack != 0 || isWait(c.Name) || strings.HasPrefix(c.Name, "accept")
	return ok && wanted && s.flags != syn && fromClient == inward && (c.client == peer || c.client == netip.AddrPort{})
}
