package evidence

// Outcome says how a check ended.
type Outcome string

// The outcomes of a check.
const (
	Pass    Outcome = "pass"
	Fail    Outcome = "fail"
	Skipped Outcome = "skipped"
)

// Entry is one check in a journal.
type Entry struct {
	Name     Check   `json:"name"`
	Outcome  Outcome `json:"outcome"`
	Expected string  `json:"expected,omitempty"`
	Found    string  `json:"found,omitempty"`
}

// Journal records the checks of one verification in their order, for whoever asks why. A nil journal records nothing;
// what is checked does not depend on it.
type Journal struct {
	Entries []Entry
}

// Pass records that a check held, with the value found (may be empty).
func (j *Journal) Pass(check Check, found string) {
	if j != nil {
		j.Entries = append(j.Entries, Entry{Name: check, Outcome: Pass, Found: found})
	}
}

// Skip records that a check was not made, and why.
func (j *Journal) Skip(check Check, why string) {
	if j != nil {
		j.Entries = append(j.Entries, Entry{Name: check, Outcome: Skipped, Found: why})
	}
}

// Fail records the refusal and returns it.
func (j *Journal) Fail(r *Refusal) error {
	if j != nil {
		j.Entries = append(j.Entries, Entry{Name: r.Check, Outcome: Fail, Expected: r.Expected, Found: r.Found})
	}
	return r
}
