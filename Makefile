# make book   builds the book: environment, programs, the whole study, the pages
# make test   runs the tests
# make test-slow  runs those that build whole books, kill trainings and fuzz kernels (CI runs both)
# make bench  measures what the library is proud of, and leaves build/bench/<subject>.json
# make picture  renews the picture of the README from the results of `make book`
# make clean  removes what was built (not .venv)
#
# Nothing else has to be done first. Variables:
#   PROFILE    quick (default) or paper: which configs/<PROFILE>.yaml
#   DATA       a folder with real recordings, see data/README.md
#   CORES      how many cores the study may use (default: all)
#   PIP_FLAGS  more words for `pip install`
PROFILE ?= quick
ifdef DATA
export TINYLOC_DATA := $(abspath $(DATA))
endif
export PIP_FLAGS

BIN := .venv/bin
INSTALLED := .venv/.installed
STARTED := $(shell date +%s)

.PHONY: book test test-slow bench picture clean
.DELETE_ON_ERROR:

book: $(INSTALLED)
	@workflow/system-packages book
	@$(BIN)/tinyloc reproduce --config $(PROFILE) $(if $(CORES),--cores $(CORES))
	@seconds=$$(($$(date +%s) - $(STARTED))); \
	echo "The book: $(CURDIR)/build/$(PROFILE)/html/index.html ($$((seconds / 60)) min $$((seconds % 60)) s)"

# By file and in order: a file's tests share what is built for them, and the longest ones come early.
PYTEST := -n 2 --dist loadfile --no-loadscope-reorder

test: $(INSTALLED)
	@workflow/system-packages test
	@$(BIN)/python -m pytest $(PYTEST) -m "not slow"

test-slow: $(INSTALLED)
	@workflow/system-packages test
	@$(BIN)/python -m pytest $(PYTEST) -m slow

bench: $(INSTALLED)
	@$(BIN)/python -m benchmarks

picture: book
	@cp build/$(PROFILE)/figures/results.png docs/results.png

clean:
	rm -rf build .snakemake

$(INSTALLED): requirements.lock pyproject.toml
	@workflow/python-environment
	@touch $@
