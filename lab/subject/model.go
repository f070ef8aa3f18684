package subject

import (
	"debug/buildinfo"
	"os"
	"path/filepath"

	"socketlab/models"
)

// Model says how to start one of our models, with flags that serve and lab run
// both have. If the program serve stands beside this one, it is started;
// if not, lab run is. A model that speaks TLS always needs lab run, which makes
// the certificates.
func Model(m models.Model, flags ...string) (Spec, error) {
	serve := Beside("serve")
	command := []string{serve}
	if serve == "" || m.TLS {
		lab, err := os.Executable()
		if err != nil {
			return Spec{}, err
		}
		command = []string{lab, "run"}
	}
	command = append(command, "--model="+m.Name, "--listen=127.0.0.1:{port}")
	return Spec{Name: m.Name, Kind: "model", Limit: m.Limit, Command: append(command, flags...)}, nil
}

// Beside is a program of this project that stands beside this one, "" if there
// is none. Another project's may have the same name.
func Beside(name string) string {
	exe, err := os.Executable()
	if err != nil {
		return ""
	}
	file := filepath.Join(filepath.Dir(exe), name)
	if info, err := buildinfo.ReadFile(file); err != nil || info.Path != "socketlab/models/"+name {
		return ""
	}
	return file
}
