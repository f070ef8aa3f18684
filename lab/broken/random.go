package broken

import "slices"

func randomServers() []Server {
	return []Server{
		{
			Name: "tidies-up-too-early", Service: "echo", Cause: "order",
			Bug:    "closes all clients that have finished when a new one comes, also those who are still owed answers",
			Caught: []string{"random/schedules"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.smallBuffers()
				l.onConnection = func() {
					l.accept()
					for _, c := range slices.Clone(l.clients) {
						if c.ended {
							l.drop(c)
						}
					}
				}
				l.serve()
			},
		},
	}
}
