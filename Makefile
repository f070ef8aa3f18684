# make help lists what there is to make.

.DEFAULT_GOAL := build

build: ## build bin/lab, and bin/serve, which lab run becomes
	CGO_ENABLED=0 go build -o bin/ ./lab ./models/serve

demo: build ## talk to every model with real clients, then verify them all
	scripts/demo

test: ## all tests, and all checks on the code: what CI runs
	scripts/test

proofs: build ## hold the harness to broken, right and C servers: minutes, on a quiet machine
	scripts/proofs

verify: build ## hold all models to the checks
	bin/lab verify

update: build ## rewrite the output quoted in README and docs from real runs
	go test ./lab -run 'TestQuoted|TestReadmeTable|TestProgramsTable|TestClientChecksTable|TestExperimentsDocument' -count=1 -update

docs: ## draw the diagrams in docs from real recordings
	go test ./lab -run TestPictures -count=1 -update

experiments: ## write docs/experiments.md from real runs, a minute
	go test ./lab -run TestExperiments$$ -count=1 -update

results: build ## measure docs/results.md again, a quarter of an hour on a quiet machine
	go run ./lab/bench/results

fuzz: ## fuzz the sessions, 20 seconds each
	scripts/fuzz

stress: build ## hold right servers to the checks on a busy machine, hours: docs/stress.md
	scripts/stress

bench: ## what starting the process model's child costs
	go test ./models/serve -run '^$$' -bench Child

setup: ## install what the tests need besides Go (Debian, root)
	scripts/setup --install

clean: ## remove what was built
	rm -rf bin

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.PHONY: build demo test proofs verify update docs experiments results fuzz stress bench setup clean help
