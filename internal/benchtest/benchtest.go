// Package benchtest compares, for benchmarks, what work takes with what its primitives alone take. It asserts nothing.
package benchtest

import (
	"slices"
	"time"
)

// Ratio is how many times as long work takes as base, each run as often as turns says, which is 10 or more. They are run by turns, so that both see
// the same machine, and the lowest deciles are compared, in which other load on it shows least.
func Ratio(turns int, work, base func()) float64 {
	var times [2][]time.Duration
	for range turns {
		for i, run := range []func(){work, base} {
			start := time.Now()
			run()
			times[i] = append(times[i], time.Since(start))
		}
	}
	slices.Sort(times[0])
	slices.Sort(times[1])
	return float64(times[0][turns/10]) / float64(times[1][turns/10])
}
