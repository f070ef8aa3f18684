package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rooms are the folders with code, and how many lines each may have, without its
// tests. The numbers are ceilings, about 3 % above what a room has: who adds a
// feature looks first for what it replaces.
var rooms = map[string]int{
	"lab":                       3715,
	"lab/bench":                 4340,
	"lab/bench/results":         645,
	"lab/bench/twin":            152,
	"lab/broken":                2800,
	"lab/certs":                 530,
	"lab/chat":                  585,
	"lab/diagram":               4540,
	"lab/experiment":            4060,
	"lab/live":                  1065,
	"lab/probe":                 310,
	"lab/proc":                  780,
	"lab/records":               390,
	"lab/report":                1545,
	"lab/step":                  815,
	"lab/subject":               1570,
	"lab/text":                  445,
	"lab/trace":                 6560,
	"lab/verify":                6200,
	"lab/verify/client":         735,
	"models":                    110,
	"models/all":                130,
	"models/blocking":           90,
	"models/epollloop":          185,
	"models/goroutine":          150,
	"models/guests":             335,
	"models/internal/modeltest": 200,
	"models/offload":            185,
	"models/pollloop":           165,
	"models/pool":               160,
	"models/prefork":            215,
	"models/process":            195,
	"models/reactors":           175,
	"models/roles":              220,
	"models/selectloop":         165,
	"models/serve":              85,
	"models/serve/server":       380,
	"models/session":            430,
	"models/sys":                2065,
	"models/thread":             160,
	"models/tls":                185,
	"models/uringloop":          165,
}

// A house stays small if nobody adds to a room without noticing.
func TestRooms(t *testing.T) {
	lines := map[string]int{}
	for _, top := range []string{"../lab", "../models"} {
		err := filepath.WalkDir(top, func(path string, entry os.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == "testdata":
				return filepath.SkipDir
			case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			text, err := os.ReadFile(path)
			room := strings.TrimPrefix(filepath.Dir(path), "../")
			lines[room] += bytes.Count(text, []byte("\n"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, room := range slices.Sorted(maps.Keys(lines)) {
		switch most, known := rooms[room]; {
		case !known:
			t.Errorf("%s is new and has %d lines: give it a ceiling in rooms, lab/rooms_test.go, 3 %% above that", room, lines[room])
		case lines[room] > most:
			t.Errorf("%s has %d lines, and its ceiling is %d: look for what the new code replaces, what is there twice and what nothing calls; "+
				"if every line is needed, raise the ceiling in lab/rooms_test.go, and say in the commit why", room, lines[room], most)
		}
	}
	for room := range rooms {
		if lines[room] == 0 {
			t.Errorf("%s has a ceiling and no code: take it out of rooms, lab/rooms_test.go", room)
		}
	}
}
