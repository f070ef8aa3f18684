package verify

import (
	"bytes"
	"path"

	"golang.org/x/sys/unix"

	"socketlab/lab/subject"
)

// Symptoms that follow from damage to what is sent back, and from a server that
// is gone.
var (
	damage = []symptom{silent, differs, tooMany, hungUp}
	gone   = []symptom{died, refused, reset, hungUp}
	stalls = []symptom{silent, unaccepted}
)

// Causes are the catalogue. docs/causes.md is written from it.
var Causes = []Cause{
	{
		ID:    "nul",
		Says:  "bytes after a NUL are lost: what was read is taken for a C string",
		Looks: "The answer ends where the first byte 00 should be; text comes back well.",
		Cure:  "Send as many bytes as read returned. strlen, strcpy, printf and %s end at the first NUL.",
		leads: damage,
		shows: func(f facts) fit {
			return when(f.next() == 0 && !f.in("bytes/echo") && f.shows(silent, differs), like)
		},
	},
	{
		ID:    "text",
		Says:  "bytes are decoded as text, and what is no text is changed or refused",
		Looks: "The first wrong byte is 80 or more, or a carriage return; instead of it comes ef bf bd, a question mark, two bytes for one, or the end of the connection.",
		Cure:  "Keep bytes as bytes from read to write: no decode and encode, no String, no Reader and Writer for text, no toString.",
		leads: append(damage, hungUp, died, reset),
		shows: func(f facts) fit {
			instead := bytes.HasPrefix(f.got, []byte("\xef\xbf")) || bytes.HasPrefix(f.got, []byte("?")) ||
				bytes.HasPrefix(f.got, []byte("\xc2")) || bytes.HasPrefix(f.got, []byte("\xc3"))
			refused := f.in("bytes/binary") && f.shows(hungUp, reset, died) || f.printed("UnicodeDecodeError", "invalid utf-8", "Utf8Error", "MalformedInput")
			switch {
			case f.shows(differs) && f.next() >= 0x80 && instead, f.shows(differs) && f.next() == '\r' && bytes.HasPrefix(f.got, []byte("\n")):
				return like
			case refused:
				return like
			}
			return no
		},
	},
	{
		ID:    "whole-buffer",
		Says:  "the whole buffer is sent back, with zeros or with what an earlier read left in it",
		Looks: "Behind the right bytes come zeros, or bytes that were right before.",
		Cure:  "Send as many bytes as read returned, not as many as the buffer holds, and not up to a NUL that an earlier message has left there.",
		leads: append(damage, lingers),
		shows: func(f facts) fit {
			stale := f.shows(differs, tooMany) && (f.source == padding || f.source == repeated || bytes.HasPrefix(f.got, []byte{0}))
			switch {
			case f.in("bytes/echo") && stale && f.at > 0:
				return proof
			case stale && f.at < 32<<10:
				return perhaps
			case f.shows(tooMany) && bytes.HasPrefix(f.got, []byte{0}):
				return like
			}
			return no
		},
	},
	{
		ID:    "speaks-first",
		Says:  "the server speaks first: it greets a client that has said nothing",
		Looks: "Bytes arrive before the client has sent any.",
		Cure:  "Send only what was received: an echo has no banner and no prompt.",
		leads: append(damage, lingers),
		shows: func(f facts) fit { return when(f.unasked, proof) },
	},
	{
		ID:    "protocol",
		Says:  "the server speaks another protocol than an echo",
		Looks: "What comes back is an answer of its own, or the connection is closed at the first words; no check sees an echo.",
		Cure:  "For an echo send back the bytes that came, and nothing else. For the chat of this lab say --service=talk; for anything else these checks do not apply.",
		leads: append(damage, hungUp, reset, lingers),
		shows: func(f facts) fit {
			return when(f.in("bytes/echo") && (f.shows(differs, tooMany) && f.source == nowhere || f.shows(hungUp, reset) && f.at == 0 && f.mark != "end"), like)
		},
	},
	{
		ID:    "newline",
		Says:  "newlines are added or cut off: what a read brings is taken for a line",
		Looks: "In a stream a newline stands where a read ended, or one is missing there.",
		Cure:  "TCP knows no lines. Send back what came, without strip, trim or println.",
		leads: damage,
		shows: func(f facts) fit {
			added := f.shows(differs, tooMany) && len(f.got) > 0 && (f.got[0] == '\n' || f.got[0] == '\r') && f.next() != int(f.got[0])
			cut := f.shows(differs, silent) && f.next() == '\n' && (f.source == skipped || f.in("bytes/echo"))
			return when(added || cut, like)
		},
	},
	{
		ID:    "after-line",
		Says:  "what arrives together with a line is thrown away with it",
		Looks: "The first line of several is answered, and the bytes behind its newline are missing.",
		Cure:  "Keep what a read brought beyond the newline for the next line; an echo need not look for lines at all.",
		leads: damage,
		shows: func(f facts) fit {
			return when(f.shows(silent, differs) && path.Dir(f.check) != "talk" && bytes.HasSuffix(f.before, []byte("\n")) && !f.in("bytes/one-by-one", "many/half-line") && f.next() != 0, like)
		},
	},
	{
		ID:    "line",
		Says:  "the server answers only when a whole line has come",
		Looks: "A message without a newline gets no answer; nor do the other clients meanwhile, if one thread serves them all.",
		Cure:  "Answer what each read brings. Where lines are wanted, collect them for each client, and never wait for the newline of one.",
		leads: append(damage, unaccepted, hungUp),
		shows: func(f facts) fit {
			alone := f.in("bytes/one-by-one") && f.shows(silent) && f.at == 0
			return when(alone, proof) + when(f.in("many/half-line") && f.shows(silent, unaccepted) && f.phase == "half", like)
		},
	},
	{
		ID:    "full-buffer",
		Says:  "the server answers only when its buffer is full",
		Looks: "A short message gets no answer until enough others have followed.",
		Cure:  "Take what a read returns, however little: not fread, readFully, read_exact or MSG_WAITALL.",
		leads: append(stalls, differs, hungUp),
		shows: func(f facts) fit { return when(f.prompted > 0, proof) },
	},
	{
		ID:    "waits-for-end",
		Says:  "the server answers only when the client has finished",
		Looks: "Nothing comes until FIN, and then everything.",
		Cure:  "Answer what each read brings: not readAll, read_to_end, or a loop until read returns 0.",
		leads: append(stalls, hungUp),
		shows: func(f facts) fit { return when(f.atEnd, proof) },
	},
	{
		ID:    "unflushed",
		Says:  "answers stay in a buffer of the program: nothing flushes it",
		Looks: "Nothing comes, though the server has read what was sent; after much more, a part of it comes.",
		Cure:  "Flush after each answer, or write without a buffer.",
		leads: stalls,
	},
	{
		ID:    "mute",
		Says:  "the server reads and does not answer",
		Looks: "The server has read what was sent, nothing comes back, and it waits for more.",
		Cure:  "Send back what read returned. strace shows whether send is called, and on which descriptor.",
		leads: append(stalls, hungUp, lingers),
		shows: func(f facts) fit {
			return when(f.in("bytes/echo") && f.shows(silent) && f.at == 0 && f.unread == 0 && f.prompted == 0 && !f.atEnd, like)
		},
	},
	{
		ID:    "deaf",
		Says:  "the server accepts nobody",
		Looks: "The kernel has made the connection, and it stays in the queue for accept.",
		Cure:  "Call accept, in a loop. strace shows where the server is instead.",
		leads: append(stalls, refused),
		shows: func(f facts) fit { return when(f.in("bytes/echo") && f.shows(unaccepted), proof) },
	},
	{
		ID:    "truncates",
		Says:  "a long message is cut off",
		Looks: "Of a message that is longer than a certain size, such as 1,024, the rest never comes, or the next message comes instead.",
		Cure:  "A message is not one read. Read until read returns 0, and send back each part.",
		leads: damage,
		shows: func(f facts) fit {
			return when(f.in("bytes/sizes") && f.shows(silent, differs) && f.phase == "sizes" && f.at >= 64 && f.next() != 0 && f.unread == 0, like)
		},
	},
	{
		ID:    "short-write",
		Says:  "a write that took only a part is not continued: the rest is lost",
		Looks: "Short messages come back well. Of many bytes to a client that does not read at once, a piece in the middle or the end is missing.",
		Cure:  "Look at what write returns. Send the rest in a loop, or keep it until the descriptor is writable.",
		leads: damage,
		shows: func(f facts) fit {
			much := f.at >= 32<<10 && !(f.in("bytes/sizes") && f.phase == "sizes")
			lost := f.shows(differs) && f.source == skipped || f.shows(silent, hungUp) && f.unread == 0 && f.asleep
			return when(much && lost && f.in("bytes/sizes", "close/half", "many/slow-reader", "many/flood", "many/slow", "random/schedules", "life/stopped", "many/apart") && f.next() != 0, like)
		},
	},
	{
		ID:    "restarts",
		Says:  "an answer that was sent in part is begun again",
		Looks: "In a long answer bytes come twice.",
		Cure:  "Remember how much of the answer has gone, and go on behind it.",
		leads: damage,
		shows: func(f facts) fit { return when(f.shows(differs) && f.source == repeated && f.at >= 32<<10, like) },
	},
	{
		ID:    "overflow",
		Says:  "a message that is longer than the buffer is written beyond it",
		Looks: "Long messages end the server, with SIGSEGV, SIGABRT or an index that is out of range; short ones do no harm.",
		Cure:  "Give read the size of the buffer that it writes to.",
		leads: append(gone, damage...),
		shows: func(f facts) fit {
			return when(f.in("bytes/sizes", "bytes/pipelined") && f.shows(died) && f.phase != "late", proof)
		},
	},
	{
		ID:    "first-read",
		Says:  "a client that says nothing ends the server",
		Looks: "The server dies when the first read of a connection returns 0.",
		Cure:  "Look at what read returns before you look at the bytes: 0 is the end.",
		leads: gone,
		shows: func(f facts) fit { return when(f.in("bytes/silence") && f.shows(died), proof) },
	},
	{
		ID:    "sleeps",
		Says:  "the server sleeps for a time instead of waiting for its clients",
		Looks: "Answers take as long as its pause, though it has nothing to do.",
		Cure:  "Wait in accept, read, select, poll or epoll: these return when there is something to do.",
		leads: append(stalls, refused, lingers, differs),
		shows: func(f facts) fit {
			return when(f.in("bytes/latency") && f.mark == "slow", proof) + when(f.asleepIn("sleep") && !f.asleepIn("accept", "recv", "epoll_wait", "poll") && f.shows(silent, unaccepted), like)
		},
	},

	// The end of a conversation.
	{
		ID:    "one-answer",
		Says:  "the connection is closed after one answer",
		Looks: "The first message comes back, and behind it FIN.",
		Cure:  "Serve a client until read returns 0.",
		leads: []symptom{hungUp, reset, silent},
		shows: func(f facts) fit {
			return when(f.in("bytes/echo") && f.shows(hungUp, reset) && f.phase == "second", proof)
		},
	},
	{
		ID:    "hangs-up",
		Says:  "the connection is closed at once",
		Looks: "FIN or RST comes though the client has just sent its first words.",
		Cure:  "Do not close the descriptor before the conversation has ended; after fork the parent closes its copy, the child keeps its own.",
		leads: []symptom{hungUp, reset},
		shows: func(f facts) fit {
			first := f.in("bytes/echo") && f.phase == "first"
			return when(f.shows(hungUp, reset) && f.at == 0, when(first, proof)+when(!first, weak))
		},
	},
	{
		ID:    "descriptor-kept",
		Says:  "the descriptor of a client that left is not closed",
		Looks: "After the client's FIN none comes back: the connection stays in CLOSE-WAIT, and /proc/PID/fd grows.",
		Cure:  "Close the descriptor on every way out of the conversation. After fork, parent and child each have one to close.",
		leads: []symptom{unaccepted, refused},
		shows: func(f facts) fit {
			return when(f.shows(lingers) && !f.spins && f.unread <= 1 && f.check != "talk/exit", like) + when(f.in("many/churn") && f.mark == "files", like) +
				when(f.in("close/fin") && f.mark == "CLOSE-WAIT", like)
		},
	},
	{
		ID:    "end-missed",
		Says:  "a read of 0 bytes, the end, is not noticed, and is read again and again",
		Looks: "After the client's FIN none comes back, and a core is busy.",
		Cure:  "When read returns 0 the client has finished: send what it is owed, and close.",
		leads: []symptom{unaccepted, refused, lingers},
		shows: func(f facts) fit {
			return when(f.shows(lingers) && f.spins, proof) + when(f.in("life/idle") && f.mark == "spins" && f.phase == "left", like)
		},
	},
	{
		ID:    "linger-0",
		Says:  "the server closes with RST instead of FIN (SO_LINGER with 0 seconds, or bytes it has not read)",
		Looks: "All answers have come, and then RST. What was still on its way is lost.",
		Cure:  "Leave SO_LINGER alone, and read to the end before you close.",
		leads: []symptom{reset},
		shows: func(f facts) fit { return when(f.shows(reset) && f.mark == "end", like) },
	},
	{
		ID:    "closes-owing",
		Says:  "the server closes when the client has finished, though it still owes answers",
		Looks: "FIN or RST comes after a part of what is owed. A client that reads at once gets everything.",
		Cure:  "At a read of 0 remember that the client has finished, and close when your own buffer is empty.",
		leads: []symptom{hungUp, reset},
		shows: func(f facts) fit {
			return when(f.in("close/half") && f.phase == "late", when(f.shows(hungUp), like+weak)+when(f.shows(reset), perhaps))
		},
	},
	{
		ID:    "half-close",
		Says:  "the client's FIN is taken for its leaving, and what it sent before is thrown away",
		Looks: "A client that sends and then finishes (shutdown) gets RST or FIN instead of its answer, however fast it reads.",
		Cure:  "EPOLLRDHUP, POLLRDHUP and POLLHUP do not mean that nothing is to be read: read on until read returns 0, and answer.",
		leads: []symptom{hungUp, reset},
		shows: func(f facts) fit {
			return when(f.in("close/half") && f.shows(hungUp, reset) && f.phase == "prompt", proof) + when(f.in("close/half") && f.shows(reset) && f.phase == "late", like) +
				when(f.in("bytes/echo", "bytes/silence", "close/fin") && f.shows(reset) && f.phase == "half", like)
		},
	},
	{
		ID:    "sigpipe",
		Says:  "SIGPIPE ends the server: it writes to a client that is gone",
		Looks: "The server has ended with signal 13.",
		Cure:  "signal(SIGPIPE, SIG_IGN) at the beginning of main, or MSG_NOSIGNAL with each send; then write fails with EPIPE, which ends that client only.",
		leads: gone,
		shows: func(f facts) fit {
			return when(f.killedBy(unix.SIGPIPE) || f.shows(died) && f.ending.Code == 128+int(unix.SIGPIPE), proof)
		},
	},
	{
		ID:    "client-error",
		Says:  "an error on one client's connection ends the whole server, or its other clients",
		Looks: "The server ends, or closes other connections, when a client resets (ECONNRESET, EPIPE, ENOTCONN).",
		Cure:  "An error of read, write or getpeername on a client's descriptor ends that client only: close it, and go on.",
		leads: gone,
		shows: func(f facts) fit {
			if f.killedBy(unix.SIGPIPE) {
				return no
			}
			words := f.printed("ECONNRESET", "EPIPE", "onnection reset", "roken pipe", "ConnectionReset", "BrokenPipe", "ENOTCONN", "not connected")
			concerned := f.in("close/reset", "close/early", "close/vanish")
			return when(concerned, when(f.shows(died), like)+when(f.shows(hungUp, reset, refused), perhaps)) + when(f.shows(died) && words, like)
		},
	},

	// Several clients.
	{
		ID:    "one-client",
		Says:  "the server serves one client at a time",
		Looks: "The second client is accepted when the first has left.",
		Cure:  "Serve each client in a thread or process of its own, or wait for all of them with select, poll or epoll. If one at a time is meant, say so: --limit=1.",
		leads: append(stalls, hungUp, lingers),
		shows: func(f facts) fit {
			return when(f.in("many/two") && f.mark == "one at a time", proof) +
				when(f.shows(unaccepted) && f.clients > 1 && !f.asleepIn("wait"), perhaps)
		},
	},
	{
		ID:    "ends-with-client",
		Says:  "the server ends when a client has left",
		Looks: "After the first conversation nobody is there, and the exit code is often 0.",
		Cure:  "Go back to accept when a client has left; return or exit only in its child or thread.",
		leads: append(gone, unaccepted),
		shows: func(f facts) fit {
			return when(f.in("bytes/echo", "close/fin") && f.shows(died) && f.ending.Signal == 0 && f.phase != "first" && f.phase != "second", proof) +
				when(f.shows(died) && f.ending == (subject.Ending{}) && (f.in("many/two", "many/half-line") || path.Dir(f.check) == "close"), perhaps)
		},
	},
	{
		ID:    "dies",
		Says:  "an ordinary conversation ends the server",
		Looks: "The server has ended in the middle of it.",
		Cure:  "See what it printed, its exit code or signal, and the last lines of strace.",
		leads: gone,
		shows: func(f facts) fit {
			plain := f.in("bytes/echo", "bytes/binary", "bytes/one-by-one", "bytes/latency")
			return when(f.shows(died), when(plain, like)+when(!plain, guess))
		},
	},
	{
		ID:    "one-buffer",
		Says:  "one buffer serves several clients",
		Looks: "A client gets bytes that another one sent, as soon as several are there at once.",
		Cure:  "Give each client a buffer of its own for what it is still owed; no static or global buffer between a read and the end of its write.",
		leads: damage,
		shows: func(f facts) fit {
			return when(f.shows(differs, tooMany) && f.source == others, when(!f.in("many/soak"), like)+when(f.in("many/soak"), perhaps))
		},
	},
	{
		ID:    "given-back-twice",
		Says:  "after many connections two clients get the same buffer: one was given back twice",
		Looks: "Fresh, the server keeps its clients apart; after thousands of connections they get each other's bytes.",
		Cure:  "Give a buffer or a slot back once, where the connection ends, and only if it was taken.",
		leads: damage,
		shows: func(f facts) fit { return when(f.in("many/soak") && f.shows(differs, tooMany), like) },
	},
	{
		ID:    "wrong-descriptor",
		Says:  "the client's descriptor is kept in a variable that the next accept overwrites",
		Looks: "Of two clients that come one after the other, one is never answered, and the other gets its answers too or is served twice.",
		Cure:  "Give each thread its descriptor by value, (void *)(intptr_t)cfd, or memory of its own, not the address of accept's variable.",
		leads: append(damage, lingers, hungUp, reset),
		shows: func(f facts) fit {
			several := f.clients > 1 || f.in("many/churn", "many/soak")
			alone := f.shows(silent) && f.asleep && several && !f.asleepIn("send") && (f.asleepIn("recv") || !f.asleepIn("epoll_wait", "poll"))
			if f.shows(lingers) && f.unread > 1 && f.asleepIn("recv") || f.shows(differs) && f.source == others {
				return (perhaps + like) / 2 // nobody reads from this client; or it hears another one's answer
			}
			if f.shows(hungUp, reset) && f.at == 0 && several && !f.in("bytes/echo") {
				return perhaps + when(f.in("many/churn", "many/soak"), perhaps) // its answer went to a descriptor that was closed
			}
			return when(alone && f.in("many/burst", "many/apart", "many/churn", "many/crowd", "many/soak", "close/reset", "close/early", "life/descriptors", "many/half-line", "many/wall"), like)
		},
	},
	{
		ID:    "blocking-write",
		Says:  "one thread writes to a client that does not read, and everybody waits with it",
		Looks: "While one client does not read, nobody else is served; the server sleeps in send or write.",
		Cure:  "Write without waiting (O_NONBLOCK), keep what is left for that client, and ask for writability until it has gone.",
		leads: stalls,
		shows: func(f facts) fit {
			return when(f.in("many/slow-reader", "many/slow", "talk/slow-reader") && f.shows(silent, unaccepted) && f.phase == "others", like)
		},
	},
	{
		ID:    "greedy",
		Says:  "the server stays with one client as long as that one goes on",
		Looks: "While one client sends without a pause, or answers at once for ever, nobody else is served.",
		Cure:  "One read for each client that is ready, then look at the others: no loop that ends only when this client has nothing more.",
		leads: stalls,
		shows: func(f facts) fit {
			return when(f.in("many/flood", "many/chatter") && f.shows(silent, unaccepted, refused) && f.phase == "others", like)
		},
	},
	{
		ID:    "edge-accept",
		Says:  "one client is accepted for each event, though several have come (edge-triggered)",
		Looks: "Of clients that connect at the same moment some stay in the queue, while the server sleeps in epoll_wait.",
		Cure:  "With EPOLLET on the listening descriptor, accept until EAGAIN.",
		leads: stalls,
		shows: func(f facts) fit {
			return when(f.in("many/burst", "many/churn", "many/soak", "many/crowd", "many/wall", "life/kept", "random/schedules") && f.shows(unaccepted) && f.asleep && f.asleepIn("epoll_wait") && !f.asleepIn("accept"), like)
		},
	},
	{
		ID:    "edge-read",
		Says:  "one read is made for each event, though more has come (edge-triggered)",
		Looks: "Bytes lie unread in the kernel, while the server sleeps in epoll_wait.",
		Cure:  "With EPOLLET, read until EAGAIN; or leave EPOLLET out.",
		leads: append(damage, lingers),
		shows: func(f facts) fit {
			return when(f.shows(silent, lingers) && f.unread > 0 && f.asleep && f.asleepIn("epoll_wait") && !f.asleepIn("recv"), like)
		},
	},
	{
		ID:    "write-wakeup-missed",
		Says:  "the server does not go on writing when there is room again",
		Looks: "An answer stops in the middle, though the client reads; the server has read everything, and sleeps.",
		Cure:  "Ask for writability (EPOLLOUT, POLLOUT) while something is owed, and with EPOLLET write until EAGAIN.",
		leads: []symptom{silent},
		shows: func(f facts) fit {
			return when(f.shows(silent) && f.at >= 32<<10 && f.unread == 0 && f.asleep && f.asleepIn("epoll_wait", "poll") && f.in("bytes/sizes", "close/half", "many/slow-reader", "many/slow"), perhaps)
		},
	},
	{
		ID:    "slow-accept",
		Says:  "clients are accepted too slowly, or the backlog of listen is too small",
		Looks: "Of many that connect at the same moment some are kept out for seconds; the queue of the listening socket is full.",
		Cure:  "listen(fd, SOMAXCONN), and an accept loop that does nothing else for long.",
		leads: []symptom{unaccepted, refused},
		shows: func(f facts) fit { return when(f.mark == "queue full", like) },
	},
	{
		ID:    "backlog",
		Says:  "the backlog of listen is so small that few clients can wait",
		Looks: "ss -ltn shows it in the column Send-Q.",
		Cure:  "listen(fd, SOMAXCONN), or 128.",
		shows: func(f facts) fit { return when(f.mark == "backlog", like) },
	},
	{
		ID:    "fd-setsize",
		Says:  "descriptors of 1,024 and more are put into an fd_set, which has room for 1,024 (FD_SETSIZE)",
		Looks: "About the 1,020th client the server dies, hangs or uses a whole core.",
		Cure:  "poll or epoll; or with select, do not accept when the descriptor is FD_SETSIZE or more.",
		leads: append(gone, stalls...),
		shows: func(f facts) fit {
			return when(f.in("many/wall", "many/crowd") && f.clients >= 990 && (f.shows(died, silent, hungUp, reset, differs) || f.spins), like)
		},
	},
	{
		ID:    "small-table",
		Says:  "a table for the clients is smaller than the number that come",
		Looks: "With a certain number of clients, such as 500, the server dies or hangs.",
		Cure:  "Let the table grow, or stop accepting while it is full.",
		leads: gone,
		shows: func(f facts) fit {
			return when(f.in("many/crowd", "many/wall", "many/burst", "many/apart") && f.shows(died, silent) && f.clients < 990 && f.clients > 1, perhaps)
		},
	},
	{
		ID:    "turns-away",
		Says:  "clients for whom there is no place are turned away instead of left waiting",
		Looks: "The connection of a client too many is closed at once.",
		Cure:  "Stop calling accept while there is no place: the kernel keeps clients in the queue.",
		leads: []symptom{hungUp, reset},
		shows: func(f facts) fit { return when(f.in("many/crowd") && f.shows(hungUp, reset), like) },
	},
	{
		ID:    "threads-kept",
		Says:  "threads stay when their clients have left",
		Looks: "/proc/PID/task grows with every client.",
		Cure:  "Let the thread's function return when its client has left, on every way out.",
		shows: func(f facts) fit { return when(f.mark == "threads", proof) },
	},
	{
		ID:    "unjoined",
		Says:  "threads end, and nobody joins or detaches them: their stacks stay mapped",
		Looks: "/proc/PID/maps and the address space grow with every client, while the number of threads does not.",
		Cure:  "pthread_detach(pthread_self()), or create the threads detached, or join them.",
		shows: func(f facts) fit { return when(f.mark == "maps", proof) },
	},
	{
		ID:    "race",
		Says:  "threads change what they share without a lock",
		Looks: "The server dies, or loses a client, now and then, and only while many come and go at once.",
		Cure:  "A mutex around every use of the shared list, or no shared list. ThreadSanitizer and go run -race find the place.",
		leads: append(gone, silent),
		shows: func(f facts) fit {
			return when(f.in("many/burst", "many/churn", "many/soak", "many/apart", "life/kept", "life/children") && f.shows(died) && !f.killedBy(unix.SIGPIPE), like)
		},
	},
	{
		ID:    "drops-slow",
		Says:  "a client that reads slowly is dropped, or loses bytes",
		Looks: "After some seconds the connection of a slow reader ends, though it reads steadily.",
		Cure:  "Measure a time-out from the last byte that went, not for a whole answer; or let the client take its time.",
		leads: []symptom{hungUp, reset},
		shows: func(f facts) fit {
			return when(f.in("many/slow") && f.phase == "slow" && f.shows(hungUp, reset, differs, silent), like)
		},
	},
	{
		ID:    "workers-gone",
		Says:  "workers end with their clients, and nobody replaces them",
		Looks: "After some clients fewer processes are there than at the start, and in the end nobody accepts.",
		Cure:  "Let a worker serve the next client, or have the parent start another one when wait returns.",
		leads: append(stalls, refused, lingers, hungUp),
		shows: func(f facts) fit { return when(f.mark == "workers" && !f.shows(died), proof) },
	},

	// The process.
	{
		ID:    "busy-loop",
		Says:  "the server spins: it asks again and again instead of sleeping",
		Looks: "A core is busy before anybody has come.",
		Cure:  "Wait in a call that sleeps, with blocking descriptors or poll. select changes its timeout in place: set it anew each time.",
		leads: []symptom{lingers},
		shows: func(f facts) fit {
			return when(f.in("life/idle") && f.mark == "spins" && f.phase == "alone", proof) + when(f.in("life/descriptors", "life/stdin", "life/half-closed") && f.mark == "spins", follows)
		},
	},
	{
		ID:    "write-interest",
		Says:  "the server asks for writability all the time, and a socket nearly always is writable",
		Looks: "A core is busy as soon as a client is there, though it says nothing.",
		Cure:  "Ask for POLLOUT or EPOLLOUT only while something is owed.",
		shows: func(f facts) fit {
			return when(f.in("life/idle") && f.mark == "spins" && f.phase == "silent", proof) + when(f.in("life/descriptors", "life/stdin", "life/patience", "life/wakeups") && f.mark == "spins", follows)
		},
	},
	{
		ID:    "half-closed-spin",
		Says:  "the loop spins on a client that has finished and does not read",
		Looks: "A core is busy: the end is readable for ever, and asked for though it is known.",
		Cure:  "After a read of 0 do not ask for readability of that descriptor any more; only for writability, while something is owed.",
		shows: func(f facts) fit { return when(f.in("life/half-closed") && f.mark == "spins", like) },
	},
	{
		ID:    "short-timeout",
		Says:  "the server wakes up many times a second to look whether there is something to do",
		Looks: "Context switches go on while nothing happens; CPU use hardly shows it.",
		Cure:  "A wait without a timeout, or with the time until the next thing that is really due.",
		shows: func(f facts) fit { return when(f.in("life/wakeups"), like) },
	},
	{
		ID:    "stdin-end",
		Says:  "the end of standard input ends the server, or is read again and again",
		Looks: "Without a terminal, as a daemon or with </dev/null, it ends or spins.",
		Cure:  "When a read from standard input returns 0, stop asking for it, and go on serving.",
		leads: gone,
		shows: func(f facts) fit { return when(f.in("life/stdin"), like) },
	},
	{
		ID:    "wait-once",
		Says:  "children that ended are not all waited for: zombies stay",
		Looks: "ps shows <defunct>. Signals coalesce: one SIGCHLD may stand for many children.",
		Cure:  "In the handler, while (waitpid(-1, NULL, WNOHANG) > 0) ; — or signal(SIGCHLD, SIG_IGN).",
		leads: []symptom{unaccepted, refused},
		shows: func(f facts) fit {
			return when(f.in("life/children") && f.mark == "zombies", proof) + when(f.in("many/churn", "many/soak") && (f.mark == "processes" || f.zombies > 0), like)
		},
	},
	{
		ID:    "wait-blocks",
		Says:  "the server waits for a child to end, and accepts nobody meanwhile",
		Looks: "A client is not accepted; the parent sleeps in wait or waitpid.",
		Cure:  "waitpid with WNOHANG in a loop, in the handler of SIGCHLD; never a wait that sleeps, in the handler or after fork.",
		leads: stalls,
		shows: func(f facts) fit {
			return when(f.mark == "waits for a child", proof) + when(f.shows(unaccepted, silent) && f.asleepIn("wait") && !f.asleepIn("accept", "epoll_wait", "poll"), proof)
		},
	},
	{
		ID:    "child-stays",
		Says:  "a child does not end when its client has left",
		Looks: "ps shows more processes with every client; often they go back to the loop that accepts.",
		Cure:  "exit in the child when its conversation is over, and close the listening descriptor there.",
		leads: append(stalls, died, refused),
		shows: func(f facts) fit {
			return when(f.in("life/children") && f.mark == "children", proof) + when(f.mark == "processes" && f.zombies == 0, like) + when(f.shows(died) && f.ending.Had > 0, like) +
				when(f.in("life/idle") && f.mark == "spins" && f.phase == "left" && f.processes > 1, like)
		},
	},
	{
		ID:    "children-left",
		Says:  "the server ends, and its children stay",
		Looks: "After SIGTERM processes of its are still there.",
		Cure:  "End the children too: kill(0, SIGTERM), or prctl(PR_SET_PDEATHSIG, SIGTERM) in each child.",
		shows: func(f facts) fit { return when(f.in("life/ends") && f.mark == "children", proof) },
	},
	{
		ID:    "sigterm-ignored",
		Says:  "SIGTERM does not end the server",
		Looks: "It runs on, until SIGKILL.",
		Cure:  "Do not ignore SIGTERM. A handler that only sets a flag needs a wait that EINTR ends; or write a byte to a pipe there that the loop waits for.",
		shows: func(f facts) fit { return when(f.in("life/ends") && f.mark == "runs on", proof) },
	},
	{
		ID:    "sigterm-slow",
		Says:  "the server takes long to end after SIGTERM, or is busy meanwhile",
		Looks: "It waits for its clients without a limit, or for a timer.",
		Cure:  "Close the listening socket, give clients a second, and end.",
		shows: func(f facts) fit { return when(f.in("life/ends") && (f.mark == "slow" || f.mark == "busy"), proof) },
	},
	{
		ID:    "sigterm-kills",
		Says:  "SIGTERM is not handled: it kills the server",
		Looks: "The shell shows exit code 143 instead of 0.",
		Cure:  "Handle SIGTERM, and return from main: sigaction in C, signal.signal in Python, signal.Notify in Go, process.on in Node.",
		shows: func(f facts) fit { return when(f.in("life/term"), like) },
	},
	{
		ID:    "memory-owed",
		Says:  "the server reads on from a client that does not read, and keeps all it owes",
		Looks: "Memory grows as long as the client sends.",
		Cure:  "Stop reading from a client that is owed more than some 64 KiB, and go on when it has read.",
		leads: []symptom{died},
		shows: func(f facts) fit { return when(f.in("life/memory") && f.mark == "grew", proof) },
	},
	{
		ID:    "memory-kept",
		Says:  "memory of clients that left is not freed",
		Looks: "Memory grows by the same amount for every client that comes and goes.",
		Cure:  "free what was allocated for a client when it leaves, on every way out; valgrind and -fsanitize=address tell which.",
		shows: func(f facts) fit { return when(f.mark == "memory", proof) },
	},
	{
		ID:    "emfile-spin",
		Says:  "accept fails for want of a descriptor, and the server spins: it calls accept again at once, or waits for descriptor −1",
		Looks: "With all descriptors in use a core is busy: the connection in the queue is ready as before.",
		Cure:  "Look at what accept returns. At EMFILE and ENFILE stop asking for new clients until one leaves.",
		leads: []symptom{unaccepted},
		shows: func(f facts) fit { return when(f.in("life/descriptors") && f.mark == "spins" && !f.shows(died), like) },
	},
	{
		ID:    "emfile-death",
		Says:  "the server does not survive that accept fails for want of a descriptor",
		Looks: "With all descriptors in use it ends.",
		Cure:  "Look at what accept returns. EMFILE and ENFILE pass: wait until a client leaves.",
		leads: gone,
		shows: func(f facts) fit { return when(f.in("life/descriptors") && f.shows(died, refused), like) },
	},
	{
		ID:    "emfile-stuck",
		Says:  "after it was out of descriptors the server accepts nobody any more",
		Looks: "Clients leave, and still nobody is let in.",
		Cure:  "Ask for new clients again whenever one has left; with EPOLLET, call accept then.",
		leads: stalls,
		shows: func(f facts) fit {
			return when(f.in("life/descriptors") && f.phase == "again" && f.shows(silent, unaccepted), like)
		},
	},
	{
		ID:    "emfile-sheds",
		Says:  "out of descriptors, clients are closed instead of left waiting",
		Looks: "A client that could wait in the queue gets FIN or RST at once.",
		Cure:  "Do not accept while there is no descriptor to spare.",
		shows: func(f facts) fit { return when(f.in("life/shed"), like) },
	},
	{
		ID:    "eintr",
		Says:  "a call that was interrupted (EINTR) is taken for a failure",
		Looks: "After SIGSTOP and SIGCONT, or any signal, connections are closed or the server ends.",
		Cure:  "When a call fails with EINTR, call it again; or SA_RESTART with sigaction, which does not help poll, select, epoll_wait and reads with a timeout: signal(7).",
		shows: func(f facts) fit {
			return when(f.in("life/stopped") && f.shows(died, hungUp, reset, refused, unaccepted, silent), like)
		},
	},
	{
		ID:    "no-reuseaddr",
		Says:  "SO_REUSEADDR is not set: the port stays taken while old connections are in TIME-WAIT",
		Looks: "Started again at once, the server says Address already in use.",
		Cure:  "setsockopt(lfd, SOL_SOCKET, SO_REUSEADDR, …, 1) before bind.",
		shows: func(f facts) fit { return when(f.in("life/restart") && f.mark == "in use", proof) },
	},
	{
		ID:    "reuseport",
		Says:  "SO_REUSEPORT is set: a second server can share the port, and takes half of the clients",
		Looks: "Two servers start on one port, and neither complains.",
		Cure:  "Leave SO_REUSEPORT out; SO_REUSEADDR is what starting again needs.",
		shows: func(f facts) fit { return when(f.mark == "shared", proof) },
	},
	{
		ID:    "all-addresses",
		Says:  "the server listens on all addresses: everybody in the network can reach it",
		Looks: "ss -ltn shows 0.0.0.0, * or [::].",
		Cure:  "bind to 127.0.0.1: INADDR_LOOPBACK.",
		shows: func(f facts) fit { return when(f.mark == "address", proof) },
	},
	{
		ID:    "idle-timeout",
		Says:  "a client that is silent is disconnected after a short time",
		Looks: "FIN comes though the client has not finished.",
		Cure:  "No time-out, or one of minutes; the kernel's keepalive finds clients that are gone.",
		shows: func(f facts) fit { return when(f.in("life/patience") && f.shows(hungUp, reset), like) },
	},
	{
		ID:    "spawn-death",
		Says:  "the server does not survive that no thread or process can be made",
		Looks: "fork or pthread_create fails with EAGAIN, and the server ends or takes −1 for a child.",
		Cure:  "Look at what fork and pthread_create return; close the client or let it wait, and go on.",
		leads: gone,
		shows: func(f facts) fit { return when(f.in("life/spawn"), like) },
	},
	{
		ID:    "udp",
		Says:  "the server uses UDP, not TCP",
		Looks: "ss -lun shows the port, ss -ltn does not.",
		Cure:  "socket(AF_INET, SOCK_STREAM, 0), then listen and accept.",
		shows: func(f facts) fit { return when(f.check == start && f.mark == "udp", proof) },
	},
	{
		ID:    "elsewhere",
		Says:  "the server listens on another port or address than it was given",
		Looks: "ss -ltnp shows where.",
		Cure:  "Take the port from {port} in the command or from PORT in the environment, in network byte order (htons), and bind to 127.0.0.1; or say --port=N.",
		shows: func(f facts) fit { return when(f.check == start && f.mark == "elsewhere", proof) },
	},
	{
		ID:    "background",
		Says:  "the server goes into the background",
		Looks: "The command ends, and a process of its stays.",
		Cure:  "Start it so that it stays in the foreground.",
		shows: func(f facts) fit { return when(f.check == start && f.mark == "background", proof) },
	},
	{
		ID:    "not-listening",
		Says:  "the server does not listen",
		Looks: "It ends before it listens, or runs and never calls listen.",
		Cure:  "See what it printed. bind, then listen, before anything that waits.",
		shows: func(f facts) fit { return when(f.check == start && f.mark == "nowhere", perhaps) },
	},
	{
		ID:    "order",
		Says:  "something happens between two events that the server takes for one",
		Looks: "Only some orders of connect, send, finish and leave fail; the schedule that was printed is the shortest.",
		Cure:  "Look at the last steps of the schedule, and play it again with --replay.",
		shows: func(f facts) fit { return when(f.in("random/schedules"), perhaps) },
	},

	// The operator: --service=talk.
	{
		ID:    "stdout-buffered",
		Says:  "what the server prints stays in a buffer",
		Looks: "Nothing appears on the operator's screen when standard output is a pipe.",
		Cure:  "Flush after each line: fflush(stdout), print(…, flush=True).",
		shows: func(f facts) fit { return when(f.in("talk/says") && f.phase == "", like) },
	},
	{
		ID:    "read-as-line",
		Says:  "what a read brings is taken for a line",
		Looks: "A line that comes in parts is shown in parts, or two that come together as one.",
		Cure:  "Collect bytes for each client until the newline; the last line may have none.",
		shows: func(f facts) fit { return when(f.in("talk/says") && f.phase == "lines", like) },
	},
	{
		ID:    "first-only",
		Says:  "only the first client hears the operator",
		Looks: "The buffer is empty or changed when the loop comes to the second client.",
		Cure:  "Do not change the line inside the loop over the clients, and send each line whole, empty ones too.",
	},
	{
		ID:    "addressing",
		Says:  "the number behind @ is not looked at, or counts those who are here now",
		Looks: "A line for one client is heard by others.",
		Cure:  "Compare the number with the one that was shown when the client came.",
	},
	{
		ID:    "exit-line",
		Says:  `the line "exit" is looked for in what one read brings`,
		Looks: "It is missed when it comes in parts, with other lines or with CR, or found where it is a part of a line.",
		Cure:  "Collect whole lines, cut off the newline and a CR before it, and compare.",
	},
	{
		ID:    "operator-stalled",
		Says:  "the operator waits for a client that does not read",
		Looks: "The other clients hear nothing more, or nobody is told that a line was missed.",
		Cure:  "Write without waiting; a client that has no room misses the line, and the operator is told.",
	},
	{
		ID:    "operator-end",
		Says:  "the end of the operator's input ends the server, or is read again and again",
		Looks: "With </dev/null the server ends, or a core is busy.",
		Cure:  "At the end of standard input stop asking for it, and go on serving.",
		shows: func(f facts) fit { return when(f.in("talk/operator-gone"), like) },
	},
	{
		ID:    "raw-bytes",
		Says:  "bytes from the network go to the terminal as they are, which obeys them",
		Looks: "A client can clear the operator's screen, or change its title.",
		Cure:  "Show control bytes as \\x1b.",
	},

	// TLS.
	{
		ID:    "tls-handshake",
		Says:  "the certificate is not one that clients can trust: of another name, expired, not for servers, or signed by somebody else",
		Looks: "The client ends the handshake with an alert.",
		Cure:  "Show the certificate for the name or address that clients use, signed by the authority that they know, with the whole chain.",
		shows: func(f facts) fit { return when(f.in("tls/handshake"), like) },
	},
	{
		ID:    "tls-greeting",
		Says:  "what is said first goes to the socket and not to TLS: unencrypted",
		Looks: "Plain text comes before the first record of TLS.",
		Cure:  "Write to the TLS connection, after the handshake.",
		shows: func(f facts) fit { return when(f.in("tls/greeting"), like) },
	},
	{
		ID:    "tls-stalled",
		Says:  "the handshake is done where clients are accepted, and all wait for one",
		Looks: "While one client has connected and says nothing, nobody else gets a handshake.",
		Cure:  "Do the handshake where the client is served: in its thread, or as a state of its own in the loop.",
		shows: func(f facts) fit { return when(f.in("tls/stalled"), like) },
	},
	{
		ID:    "tls-deadline",
		Says:  "the handshake has no deadline",
		Looks: "Who connects and says nothing stays for ever, and keeps a descriptor.",
		Cure:  "Give the handshake some seconds, and close then.",
		shows: func(f facts) fit { return when(f.in("tls/deadline"), like) },
	},
	{
		ID:    "tls-garbage",
		Says:  "a handshake that fails ends the server, or is not noticed",
		Looks: "After a client that speaks no TLS the server is gone, or the connection stays.",
		Cure:  "An error of one client's handshake ends that client: close it, and go on.",
		shows: func(f facts) fit { return when(f.in("tls/garbage"), like) },
	},
	{
		ID:    "tls-alert",
		Says:  "a handshake that fails is ended without an alert",
		Looks: "The connection is closed without a word.",
		Cure:  "Let the library send its alert before the socket is closed: SSL_shutdown, Close of the TLS connection.",
		shows: func(f facts) fit { return when(f.in("tls/alert"), like) },
	},
	{
		ID:    "tls-truncated",
		Says:  "a connection that ends without close_notify stays",
		Looks: "After the client's FIN none comes back, though TLS has reported an error.",
		Cure:  "Close at every error of TLS, the end of the stream without close_notify among them.",
		shows: func(f facts) fit { return when(f.in("tls/truncated"), like) },
	},
	{
		ID:    "tls-close-notify",
		Says:  "the socket is closed and not TLS: no close_notify is sent",
		Looks: "FIN comes without an alert before it, and the client cannot tell the end from an attack.",
		Cure:  "SSL_shutdown, or Close of the TLS connection, and then the socket.",
		shows: func(f facts) fit { return when(f.in("tls/close-notify"), like) },
	},
	{
		ID:    "tls-version",
		Says:  "versions of TLS that are broken are accepted",
		Looks: "A handshake with TLS 1.0 or 1.1 succeeds.",
		Cure:  "Set the lowest version to 1.2.",
		shows: func(f facts) fit { return when(f.in("tls/version"), like) },
	},
	{
		ID:    "tls-resumption",
		Says:  "sessions cannot be resumed",
		Looks: "Each handshake is a full one: tickets are off, or their key is a new one for each connection or process.",
		Cure:  "Keep one configuration, and so one key for tickets, for all connections.",
		shows: func(f facts) fit { return when(f.in("tls/resumption"), like) },
	},
	{
		ID:    "tls-renegotiation",
		Says:  "renegotiation is allowed",
		Looks: "A client makes the server sign as often as it likes.",
		Cure:  "Turn it off: SSL_OP_NO_RENEGOTIATION.",
		shows: func(f facts) fit { return when(f.in("tls/renegotiation"), proof) },
	},
	{
		ID:    "tls-client-certificate",
		Says:  "the client's certificate is asked for and not verified",
		Looks: "A client with a certificate of nobody's is let in.",
		Cure:  "Verify it against the authority, and refuse with an alert: SSL_VERIFY_FAIL_IF_NO_PEER_CERT, RequireAndVerifyClientCert.",
		shows: func(f facts) fit { return when(f.in("tls/client-certificate"), like) },
	},
	{
		ID:    "tls-burst",
		Says:  "handshakes are done one after the other, or fail under load",
		Looks: "Of many that come at once some are not served.",
		Cure:  "Do handshakes side by side, or queue them without a bound on their number.",
		shows: func(f facts) fit { return when(f.in("tls/burst"), like) },
	},
}

// start is what stands for a check where the server could not be started.
const start = "start"
