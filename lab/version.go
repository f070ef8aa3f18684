//go:build linux

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

func (versionCmd) Help() string {
	return `Examples:
  lab version`
}

func (versionCmd) Run() error {
	revision := "of an unknown commit"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			switch {
			case setting.Key == "vcs.revision":
				revision = setting.Value[:min(12, len(setting.Value))]
			case setting.Key == "vcs.modified" && setting.Value == "true":
				revision += ", with changes"
			}
		}
	}
	_, err := fmt.Printf("lab %s, %s %s/%s\n", revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
