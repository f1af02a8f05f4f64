package compare

import (
	"hash/fnv"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// Random is a source that is the same each time, of a thing with that name: more things change nothing for those that were there.
func Random(name string, seed uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(h.Sum64(), seed))
}

// Class is a kind of difference.
type Class struct {
	Pattern string // a regular expression that finds it in what [Compare] or [Verdicts] tell
	Why     string // who is right, and why
}

// Tally sorts differences into classes and counts them.
type Tally struct {
	classes []Class
	count   map[string]int
	same    int
}

// NewTally gives a tally of the classes in which nothing is counted yet. The first class that fits a difference has it.
func NewTally(classes []Class) *Tally { return &Tally{classes: classes, count: map[string]int{}} }

// Add counts what was found of the thing with that name; an empty diff means none. A difference of no class is an error of the test. What
// comes out is the reason of the class, empty without one.
func (y *Tally) Add(t *testing.T, name, diff string) (why string) {
	t.Helper()
	if diff == "" {
		y.same++
		return ""
	}
	i := slices.IndexFunc(y.classes, func(c Class) bool { return regexp.MustCompile(c.Pattern).MatchString(diff) })
	if i < 0 {
		t.Errorf("%s: %s", name, diff)
		return ""
	}
	y.count[y.classes[i].Pattern]++
	return y.classes[i].Why
}

// EachOccurs logs the counts. A class without any difference is one that nobody needs, or whose cases are missing.
func (y *Tally) EachOccurs(t *testing.T) {
	t.Helper()
	t.Logf("%d do not differ", y.same)
	for _, c := range y.classes {
		t.Logf("%d: %s: %s", y.count[c.Pattern], c.Pattern, c.Why)
		if y.count[c.Pattern] == 0 {
			vectortest.NoCase(t, "mutation that differs by "+c.Pattern)
		}
	}
}

// Verdicts compares whether two verifiers take something: nil if they do. It tells the reason of the one that does not.
func Verdicts(ours, theirs error) string {
	switch {
	case (ours == nil) == (theirs == nil):
		return ""
	case ours != nil:
		return "only they take it: " + refusal(ours)
	}
	return "only we take it: " + theirs.Error()
}
