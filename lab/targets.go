package main

import (
	"fmt"
	"os"
	"slices"
)

// A target is a value of --report.
type target interface{ Where() (format, file string) }

// distinct refuses two reports in one place. Another may have standard output
// already.
func distinct[T target](all []T, stdout bool) error {
	taken := map[string]bool{"-": stdout}
	for _, to := range all {
		format, file := to.Where()
		if taken[file] {
			return fmt.Errorf("--report=%s=%s: something else goes there already; choose another FILE", format, file)
		}
		taken[file] = true
	}
	return nil
}

// besides is where people read: standard output, unless a report goes there.
func besides[T target](all []T) *os.File {
	if slices.ContainsFunc(all, func(to T) bool { _, file := to.Where(); return file == "-" }) {
		return os.Stderr
	}
	return os.Stdout
}
