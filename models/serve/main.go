//go:build linux

// Serve is one model as a server, and nothing else: what lab run becomes. The
// process model starts this program anew for each client, so it imports little.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"socketlab/models/all"
	"socketlab/models/serve/server"
	"socketlab/models/session"
)

func main() {
	all.Child() // does not return in a child process of a model
	err := serve(os.Args[1:])
	if err == nil {
		return
	}
	if text := err.Error(); text != "" {
		server.Complain("%s", text)
	}
	var exit server.Exit
	if errors.As(err, &exit) {
		os.Exit(exit.Code)
	}
	os.Exit(2)
}

// serve runs the server that a command line asks for. The flags are those of
// lab run, which explains them.
func serve(args []string) error {
	var s server.Server
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are told once, by main
	model := flags.String("model", "", "which model: "+strings.Join(all.Names(), ", "))
	listen := flags.String("listen", "127.0.0.1:7000", "where to listen, HOST:PORT")
	open := flags.Bool("open", false, "let other machines in")
	flags.IntVar(&s.Backlog, "backlog", 20, "how many connections may wait for accept")
	flags.StringVar(&s.Service.Name, "service", "echo", "what is said: "+strings.Join(session.Services, ", "))
	flags.DurationVar(&s.Service.Work, "work", 0, "burn this much CPU for each message")
	flags.DurationVar(&s.Service.Sleep, "sleep", 0, "sleep this long for each message")
	flags.StringVar(&s.Service.Greeting, "greeting", "", "talk: the first line that each client hears")
	flags.DurationVar(&s.Grace, "grace", time.Second, "how long clients may finish after the first signal")
	flags.BoolVar(&s.Reuseport, "reuseport", false, "a listening socket for each worker of prefork")
	flags.StringVar(&s.TLS.Cert, "cert", "", "TLS: the server's certificate, a file in PEM")
	flags.StringVar(&s.TLS.Key, "key", "", "TLS: the key of --cert")
	flags.StringVar(&s.TLS.ClientCA, "client-ca", "", "TLS: clients need a certificate that this authority has signed")
	flags.StringVar(&s.TLS.CA, "ca", "", "TLS: what clients are told to trust")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Println("Serve runs one model as a server; lab run --help explains the flags.")
		flags.SetOutput(os.Stdout)
		flags.PrintDefaults()
		return nil
	case err != nil:
		return server.Wrong("%w; serve --help lists the flags", err)
	case flags.NArg() > 0:
		return server.Wrong("unexpected argument %s; serve --help lists the flags", flags.Arg(0))
	}
	var err error
	if s.Model, err = all.Named(*model); err != nil {
		return server.Wrong("--model: %w", err)
	}
	if s.Addr, err = server.Address(*listen, *open); err != nil {
		return err
	}
	if err := s.Validate(); err != nil {
		return err
	}
	return s.Run()
}
