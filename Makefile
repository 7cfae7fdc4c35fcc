# Two commands matter: make run and make test. Everything behind them is in deploy/ (python3 -m deploy --help).
# State lies in /var/lib/educenter (EDUCENTER_STATE=… moves it). ARGS="…" is passed on by test, soak, chaos, bench and fuzz.
.DEFAULT_GOAL := help
.PHONY: help run test soak chaos check lint types fmt bench fuzz migrate seed stop clean
MAKEFLAGS += --no-print-directory
DEPLOY := @PYTHONDONTWRITEBYTECODE=1 python3 -m deploy

help:    ## this list
	@sed -n 's/^\([a-z]*\): .*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18
run:     ## set everything up and serve on port 8000 (PORT=…); Ctrl-C stops the server only
	$(DEPLOY) run
test:    ## set up the tests' own services and run every test; ARGS="-k foo"
	$(DEPLOY) test $(ARGS)
soak:    ## the soak's full counts, of which make test runs a tenth (40 min); ARGS="-k input", SEED=…
	$(DEPLOY) soak $(ARGS)
chaos:   ## instances and services die under students, full counts (25 min), of which make test runs a tenth; ARGS="-k frozen"
	$(DEPLOY) chaos $(ARGS)
check: lint types test ## all that must be green
lint:    ## ruff, formats, shell syntax, static analysis of the holder, secrets, known vulnerabilities of what is used
	$(DEPLOY) lint
types:   ## mypy --strict, tsc
	$(DEPLOY) types
fmt:     ## format and mend
	$(DEPLOY) fmt
bench:   ## measure
	$(DEPLOY) bench $(ARGS)
fuzz:    ## fuzz the decoders and the holder; ARGS="--seconds 600", --merge keeps new inputs
	$(DEPLOY) fuzz $(ARGS)
migrate: ## bring the database of make run to the newest schema
	$(DEPLOY) server migrate
seed:    ## the demo course, teacher@demo.test and 30 students
	$(DEPLOY) server seed --demo
stop:    ## stop the server and our PostgreSQL, Redis and LXD; data stays
	$(DEPLOY) stop
clean:   ## stop, and remove everything that was made (Debian's packages stay)
	$(DEPLOY) clean
