package policy

import "fmt"

// ReportTerms are what a policy sets for the report about a TPM (policy.md section 6).
type ReportTerms struct {
	Minutes   int64 // how long it is valid, at most a year; 0: the policy does not say
	OmitChain bool  // the header has x5t in the place of x5c
}

// ReportTerms reads the properties that issuance rules set for a report. A longer validity than a year is cut. The error is an
// *EvaluationError, of a property of another type or with two values, or of a validity below a minute.
func (o *Outcome) ReportTerms() (ReportTerms, error) {
	var terms ReportTerms
	for _, g := range o.properties {
		var err error
		switch g.Type {
		case reportValidity:
			terms.Minutes, err = validity(g)
		case omitChain:
			terms.OmitChain, err = isTrue(g)
		}
		if err != nil {
			return ReportTerms{}, &EvaluationError{Err: err}
		}
	}
	return terms, nil
}

func validity(g Group) (int64, error) {
	minutes, ok := g.Values[0].Int()
	if err := single(g, Integer, ok); err != nil {
		return 0, err
	}
	if minutes <= 0 {
		return 0, fmt.Errorf("the property %s is %d: a report is valid for one minute at least", g.Type, minutes)
	}
	return min(minutes, maxValidity), nil
}

func isTrue(g Group) (bool, error) {
	value, ok := g.Values[0].Bool()
	return value, single(g, Boolean, ok)
}

// single refuses a property of another type, or with several values.
func single(g Group, want Kind, ok bool) error {
	switch {
	case len(g.Values) > 1:
		return fmt.Errorf("the property %s is set to %s", g.Type, listValues(g.Values))
	case !ok:
		return fmt.Errorf("the property %s must be %v, found the %v %s", g.Type, want, g.Values[0].kind, g.Values[0].short())
	}
	return nil
}
