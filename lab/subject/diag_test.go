package subject

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel tells the same about a server's sockets through sock_diag as
// through its table: one that listens, accepted and waiting clients, what they
// sent, and one that is gone.
func TestDiag(t *testing.T) {
	for _, role := range []string{"deaf", "leaky", "listen6", "anywhere"} {
		t.Run(role, func(t *testing.T) {
			s := begin(t, spec(role))
			dial(t, s)
			said := dial(t, s)
			if _, err := said.Write([]byte("hello\n")); err != nil {
				t.Fatal(err)
			}
			dial(t, s).Close()
			var table, ours []Socket
			eventually(t, "both say the same of four sockets", func() bool {
				all, err := s.table()
				if err != nil {
					t.Fatal(err)
				}
				table = slices.DeleteFunc(all, func(socket Socket) bool { return socket.Local.Port() != s.Spec.Port })
				if ours, err = diag(s.Spec.Port, anyState...); err != nil {
					t.Fatal(err)
				}
				for i := range ours {
					ours[i].Room = 0 // the table does not tell
				}
				for _, list := range [][]Socket{table, ours} {
					slices.SortFunc(list, func(a, b Socket) int { return a.Remote.Compare(b.Remote) })
				}
				return len(ours) == 4 && slices.Equal(table, ours)
			})
		})
	}
}

// What the kernel answers is read whatever it is.
func FuzzDiagAnswer(f *testing.F) {
	f.Add(make([]byte, 16+72))
	f.Add(diagRequest{family: unix.AF_INET}.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _, err := diagAnswer(b)
		for _, s := range all {
			if err == nil && !s.Local.IsValid() {
				t.Errorf("%+v", s)
			}
		}
	})
}
