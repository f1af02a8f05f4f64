package jmespath

import (
	"strings"
	"testing"
	"time"
)

// TestLongQueriesCompileFast compiles queries whose trees are as deep as they are long. It takes 20 ms, and took 200 to 500
// when the work grew with the square of the length; a policy has room for 64 of them.
func TestLongQueriesCompileFast(t *testing.T) {
	for _, part := range []string{"[*]", "[?@]", ".*", "[::]", "[]"} {
		query, best := "*"+strings.Repeat(part, MaxQuery/len(part)-1), time.Hour
		for range 10 {
			start := time.Now()
			if _, err := Compile(query); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(start))
		}
		if best > 120*time.Millisecond {
			t.Errorf("%s: %v", part, best)
		}
	}
}
