package all

// A Program is one of the tutorials that this project implements, and what does
// the same here, with its mistakes mended.
type Program struct {
	What  string   // what it is there
	Names []string // what --model understands for it, too
	Model string   // "": it is a client
	Type  string   // what to type here
}

// Programs are all of them, in the tutorials' order.
var Programs = []Program{
	{"chat server for one client: select on terminal and client", []string{"chat"}, "select", "lab run --model=select --service=talk"},
	{"its client: select on terminal and socket, \"waiting…\" every 5 s", nil, "", "lab chat --heartbeat=5s"},
	{"chat server for many clients: three threads, one for each job", []string{"threads"}, "roles", "lab run --model=roles --service=talk"},
	{"client that takes turns: a line, its answer, the next line", nil, "", "lab chat --turns"},
	{"server for one client at a time", []string{"single"}, "blocking", "lab run --model=blocking --service=talk"},
	{"server with a process for each client: fork, SIGCHLD", []string{"fork"}, "process", "lab run --model=process --service=talk"},
	{"server with a thread for each client: pthreads", []string{"pthread"}, "thread", "lab run --model=thread --service=talk"},
	{"chat server with TLS that greets its clients", []string{"ssl"}, "tls", "lab run --model=tls --service=talk --greeting='Welcome to the server!'"},
}

// meant is the model's name for a name of the tutorials, or the name itself.
func meant(name string) string {
	for _, p := range Programs {
		for _, other := range p.Names {
			if other == name {
				return p.Model
			}
		}
	}
	return name
}
