// An echo server as a Go programmer writes it: net, and io.Copy from a
// connection to itself, which splices inside the kernel: splice(2).
package main

import (
	"errors"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		os.Exit(0)
	}()
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			go echo(conn)
		case errors.Is(err, syscall.EMFILE):
			time.Sleep(50 * time.Millisecond) // until a client may have left
		default:
			log.Fatal(err)
		}
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	io.Copy(conn, conn) // until the client's FIN; an error ends this client only
}
