//go:build !amd64

package trace

func waitingOnce(int) string { return "" }
