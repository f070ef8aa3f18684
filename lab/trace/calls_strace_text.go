package trace

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// straceArgs takes the arguments of a call apart, up to the parenthesis that
// closes it, and returns what follows. It is not ok if it does not close.
func straceArgs(text string) (args []string, rest string, ok bool) {
	depth, start, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' && depth == 0:
			return appendArg(args, text[start:i]), text[i+1:], true
		case c == ')' || c == ']' || c == '}':
			depth--
		case c == ',' && depth == 0:
			args = appendArg(args, text[start:i])
			start = i + 1
		}
	}
	return appendArg(args, text[min(start, len(text)):]), "", false
}

func appendArg(args []string, arg string) []string {
	if arg = strings.TrimSpace(arg); arg != "" {
		args = append(args, arg)
	}
	return args
}

// bare leaves out what -yy says of descriptors: `3<TCP:[127.0.0.1:7000]>` is 3.
func bare(text string) string {
	var b strings.Builder
	depth := 0
	for i, c := range text {
		switch {
		case c == '<':
			depth++
		case c == '>' && i > 0 && text[i-1] != '-': // no arrow
			depth--
		case depth <= 0:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// shortArgs are the arguments as a page would have them.
func shortArgs(name string, args []string) string {
	arg := func(i int) string {
		if i < len(args) {
			return bare(args[i])
		}
		return ""
	}
	switch {
	case isFork(name), name == "socket":
		return ""
	case name == "poll" || name == "ppoll":
		return polledText(arg(0))
	case name == "select" || name == "pselect6":
		return "{" + strings.Join(slices.Concat(suffixed(arg(1), "r"), suffixed(arg(2), "w")), " ") + "}"
	case name == "listen", name == "shutdown":
		return arg(0) + ", " + arg(1)
	case strings.HasPrefix(name, "write"), strings.HasPrefix(name, "send"):
		if data := args[min(1, len(args)-1)]; strings.HasPrefix(data, `"`) {
			return arg(0) + ", " + strings.Replace(data, `"...`, `"…`, 1)
		}
	case name == "bind", name == "connect":
		_, port, _ := strings.Cut(arg(1), "port=htons(")
		port, _, _ = strings.Cut(port, ")")
		_, ip, _ := strings.Cut(arg(1), `_addr`)
		_, ip, _ = strings.Cut(ip, `"`)
		ip, _, _ = strings.Cut(ip, `"`)
		return arg(0) + ", " + ip + ":" + port
	}
	return arg(0)
}

// suffixed are the descriptors of a set: "[3 5]".
func suffixed(set, suffix string) (fds []string) {
	for fd := range strings.FieldsSeq(strings.Trim(set, "[]")) {
		if _, err := strconv.Atoi(fd); err == nil {
			fds = append(fds, fd+suffix)
		}
	}
	return fds
}

// polledText is such as {3r 5rw} for a list of struct pollfd.
func polledText(list string) string {
	var fds []string
	for entry := range strings.SplitSeq(list, "{fd=") {
		fd, events, _ := strings.Cut(entry, ",")
		if _, err := strconv.Atoi(fd); err != nil {
			continue
		}
		if strings.Contains(events, "POLLIN") {
			fd += "r"
		}
		if strings.Contains(events, "POLLOUT") {
			fd += "w"
		}
		fds = append(fds, fd)
	}
	return "{" + strings.Join(fds, " ") + "}"
}

// tcpPeer is the other end of a connection: "4<TCP:[local->remote]>".
func tcpPeer(arg string) (remote netip.AddrPort) {
	_, rest, found := strings.Cut(arg, "<TCP")
	_, rest, arrow := strings.Cut(rest, "->")
	rest, _, closed := strings.Cut(rest, "]>")
	if found && arrow && closed {
		remote, _ = netip.ParseAddrPort(rest)
	}
	return netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
}

// epoch reads "1700000000.123456".
func epoch(text string) (time.Time, bool) {
	seconds, fraction, _ := strings.Cut(text, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	us, err2 := strconv.ParseInt(fraction, 10, 64)
	if err != nil || err2 != nil || len(fraction) != 6 {
		return time.Time{}, false
	}
	return time.Unix(s, us*1000), true
}

// lasted reads the time at the end of a call: "<0.000008>".
func lasted(text string) time.Duration {
	text = strings.TrimSuffix(text, ">")
	d, err := time.ParseDuration(text[strings.LastIndexByte(text, '<')+1:] + "s")
	if err != nil {
		return 0
	}
	return d
}
