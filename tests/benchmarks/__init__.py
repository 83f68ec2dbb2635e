"""Speed beside its anchors; run with `make bench`."""
