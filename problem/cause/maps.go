package cause

import (
	"iter"
	"maps"
	"slices"
)

func keys[K comparable, V any](m map[K]V) iter.Seq[K] { return maps.Keys(m) }

// sortedWords fixes the order in which sums are made.
func sortedWords(b bag) []string { return slices.Sorted(maps.Keys(b)) }
