package trace

import (
	"fmt"
	"slices"
	"time"
)

// An Action is what one client does, to all servers or to one.
type Action struct {
	Number int    `json:"number"`           // counted from 1 by the stream
	Client int    `json:"client"`           // counted from 1
	Do     string `json:"do"`               // one of Actions
	Data   string `json:"data,omitempty"`   // what to send
	Server string `json:"server,omitempty"` // "": all
}

// What a client can do. It reads what it gets unless it is told not to.
const (
	Connect   = "connect"
	Send      = "send"
	HalfClose = "half-close" // FIN, and reads on
	Reset     = "reset"      // RST
	Leave     = "leave"      // close: FIN, or RST if something is unread
	StopRead  = "stop-reading"
	ReadOn    = "read-on"
	Flood     = "flood" // send 16 MiB, more than the kernels hold for a server that is not read
)

// Actions are all that there are.
var Actions = []string{Connect, Send, HalfClose, Reset, Leave, StopRead, ReadOn, Flood}

// mostClients is how many clients a stream may have.
const mostClients = 1000

func (a Action) check() error {
	switch {
	case !slices.Contains(Actions, a.Do):
		return fmt.Errorf("a client cannot do %q; it can do %q", a.Do, Actions)
	case a.Client < 1 || a.Client > mostClients:
		return fmt.Errorf("client %d: clients are numbered from 1 to %d", a.Client, mostClients)
	}
	return nil
}

// does has the client with this number do something.
func (w *watched) does(a Action) {
	for len(w.clients) < a.Client {
		w.client().interactive()
	}
	w.say(time.Now(), Event{Source: FromTheLab, Act: &a})
	c := w.clients[a.Client-1]
	switch a.Do {
	case Connect:
		c.connect()
	case Send:
		c.owe([]byte(a.Data))
	case Flood:
		c.owe(make([]byte, 16<<20))
	case HalfClose:
		c.halfClose()
	case Reset:
		c.reset()
	case Leave:
		c.close()
	case StopRead:
		c.reads(false)
	case ReadOn:
		c.reads(true)
	}
}
