package live

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

//go:embed assets
var assets embed.FS

// A Place is where the page is.
type Place struct {
	Listen    string   // an address of this machine, such as 127.0.0.1:0
	Open      bool     // other machines may look at it, and vote
	Addresses []string // under which other machines reach this one
}

// Addresses are the URLs of the page.
type Addresses struct {
	Teacher string   // for the teacher, who may act
	Class   []string // for the class, which may watch and vote; the first one is for this machine
}

// A site serves the page. Each request must have a token in its path: the token of
// the teacher, or that of the class, which allows only to watch and to vote.
type site struct {
	lesson  *lesson
	control *control // nil: a recording is played
	open    bool
	teacher string
	class   string
	hosts   []string // values of the Host header that are allowed
	server  *http.Server
	readers atomic.Int32
}

const (
	mostReaders = 300              // pages that may be open at the same time
	mostBody    = 64 << 10         // bytes of a request
	patience    = 10 * time.Second // how long to wait for a page that does not read
)

func newSite(l *lesson, c *control, open bool) *site {
	return &site{lesson: l, control: c, open: open, teacher: rand.Text(), class: rand.Text()}
}

// listen begins to serve.
func (s *site) listen(at Place) (Addresses, error) {
	listener, err := net.Listen("tcp", at.Listen)
	if err != nil {
		return Addresses{}, err
	}
	here := listener.Addr().(*net.TCPAddr).AddrPort()
	if !here.Addr().Unmap().IsLoopback() && !at.Open {
		listener.Close()
		return Addresses{}, fmt.Errorf("--listen=%s would let other machines in; say --open if you mean it", at.Listen)
	}
	port := strconv.Itoa(int(here.Port()))
	local := net.JoinHostPort("127.0.0.1", port)
	if here.Addr().Is6() && here.Addr().IsLoopback() {
		local = net.JoinHostPort("::1", port)
	}
	s.hosts = []string{local, net.JoinHostPort("localhost", port)}
	found := Addresses{Teacher: "http://" + local + "/" + s.teacher + "/"}
	if here.Addr().IsUnspecified() {
		for _, ip := range at.Addresses {
			s.hosts = append(s.hosts, net.JoinHostPort(ip, port))
		}
	} else {
		s.hosts = append(s.hosts, here.String())
	}
	for _, host := range append([]string{local}, s.hosts[2:]...) {
		found.Class = append(found.Class, "http://"+host+"/"+s.class+"/")
	}
	found.Class = slices.Compact(found.Class)
	s.server = &http.Server{
		Handler: s.guard(s.routes()), ReadHeaderTimeout: patience, ReadTimeout: patience, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	go s.server.Serve(listener)
	return found, nil
}

// close waits until all answers have ended. The lesson must be over: then they end.
func (s *site) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil { // a page does not read
		return s.server.Close()
	}
	return nil
}

// guard refuses a request with another Host, without a token, or from another page.
// So a foreign page in the same browser cannot control the lab.
func (s *site) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		origin := r.Header.Get("Origin")
		token, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch {
		case !slices.Contains(s.hosts, r.Host):
			http.Error(w, "this lab is not "+strconv.Quote(r.Host), http.StatusMisdirectedRequest)
		case origin != "" && origin != "http://"+r.Host:
			http.Error(w, "another page may not ask", http.StatusForbidden)
		case token != s.teacher && token != s.class:
			http.Error(w, "the address that lab live has printed has a token; this one has not, or an old one", http.StatusForbidden)
		default:
			r.Body = http.MaxBytesReader(w, r.Body, mostBody)
			http.StripPrefix("/"+token, next).ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), acts{}, token == s.teacher)))
		}
	})
}

// acts is the key under which a request's context says whether it may act.
type acts struct{}

func mayAct(r *http.Request) bool { return r.Context().Value(acts{}).(bool) }

func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	files, _ := fs.Sub(assets, "assets")
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /meta", s.serveMeta)
	mux.HandleFunc("GET /events", s.serveEvents)
	if s.control == nil {
		return mux
	}
	c := s.control
	mux.HandleFunc("POST /act", obey(true, c.act))
	mux.HandleFunc("POST /step", obey(true, c.pace))
	mux.HandleFunc("POST /scene", obey(true, func(p struct {
		Name string `json:"name"`
	}) error {
		return c.choose(p.Name)
	}))
	mux.HandleFunc("POST /next", obey(true, func(struct{}) error {
		_, err := c.next(true)
		return err
	}))
	mux.HandleFunc("POST /vote", obey(false, func(v struct {
		Ask     int      `json:"ask"`
		Voter   string   `json:"voter"`
		Servers []string `json:"servers"`
	}) error {
		return c.vote(v.Ask, v.Voter, v.Servers)
	}))
	return mux
}

// obey answers a request by doing what it asks for.
func obey[T any](teacherOnly bool, do func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if teacherOnly && !mayAct(r) {
			http.Error(w, "you watch; the teacher acts", http.StatusForbidden)
			return
		}
		if kind := r.Header.Get("Content-Type"); kind != "application/json" { // a form of another page cannot say so
			http.Error(w, "want application/json", http.StatusUnsupportedMediaType)
			return
		}
		var asked T
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&asked); err != nil {
			http.Error(w, "not what was expected: "+err.Error(), http.StatusBadRequest)
			return
		}
		if err := do(asked); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *site) serveMeta(w http.ResponseWriter, r *http.Request) {
	meta := s.lesson.meta
	meta.ReadOnly = !mayAct(r)
	w.Header().Set("Content-Type", "application/json")
	w.Write(marshal(meta))
}

// serveEvents sends all events so far, and then each new one: Server-Sent Events, in
// batches. A page that connects again says which events it has (Last-Event-ID).
func (s *site) serveEvents(w http.ResponseWriter, r *http.Request) {
	if s.readers.Add(1) > mostReaders {
		s.readers.Add(-1)
		http.Error(w, fmt.Sprintf("%d pages are open already", mostReaders), http.StatusServiceUnavailable)
		return
	}
	defer s.readers.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	out.SetReadDeadline(time.Time{})
	n, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	for n = max(0, n); ; {
		events, more, over := s.lesson.from(n)
		for batch := range slices.Chunk(events, 2000) {
			n += len(batch)
			out.SetWriteDeadline(time.Now().Add(patience))
			_, err := fmt.Fprintf(w, "id: %d\ndata: [%s]\n\n", n, bytes.Join(batch, []byte(",")))
			if err = errors.Join(err, out.Flush()); err != nil {
				return
			}
		}
		if over {
			return
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}
