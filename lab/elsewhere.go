//go:build !linux

// Lab is a teaching lab for TCP servers. It lives on Linux: the models are
// about its system calls, and the harness looks at servers through its /proc.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintf(os.Stderr, "lab: this is %s, and the lab needs Linux; a virtual machine or a container will do\n", runtime.GOOS)
	os.Exit(2)
}
