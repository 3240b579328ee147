# Every target is one call of a Python script, so that it also runs without make.
PYTHON ?= python3

.PHONY: book test lab data serve assignments grade clean

book:
	$(PYTHON) tools/make.py book

test:
	$(PYTHON) tools/make.py test

lab:
	$(PYTHON) tools/make.py lab

data:
	$(PYTHON) tools/make.py data

serve:
	$(PYTHON) tools/make.py serve

assignments:
	$(PYTHON) tools/make.py assignments

grade:
	$(PYTHON) tools/make.py grade

clean:
	$(PYTHON) tools/make.py clean
