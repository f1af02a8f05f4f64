package attester_test

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/internal/swtpmtest"
)

// answers is a service that gives the answers in their order, whatever it is asked.
func answers(inner ...string) attester.Post {
	return func(context.Context, string, []byte) ([]byte, error) {
		text := inner[0]
		inner = inner[1:]
		return []byte(`{"data":"` + base64.RawURLEncoding.EncodeToString([]byte(text)) + `"}`), nil
	}
}

func TestAnswersWithAndWithoutTheWrapperAreRead(t *testing.T) {
	m := machine(t, swtpmtest.Start(t))
	for _, inner := range [][]string{
		{`{"payload":{"challenge":"MDEyMzQ1Njc4OWFiY2RlZg","service_context":"c"}}`, `{"payload":{"report":"r"}}`},
		{`{"challenge":"MDEyMzQ1Njc4OWFiY2RlZg==","service_context":"c"}`, `{"report":"r"}`},
	} {
		if report, err := m.Attest(t.Context(), answers(inner...)); err != nil || report.Text != "r" {
			t.Errorf("%s: %+v, %v", inner, report, err)
		}
	}
}

func TestAnswersThatAreNoneOfTheProtocolAreNotTaken(t *testing.T) {
	m := machine(t, swtpmtest.Start(t))
	const good = `{"payload":{"challenge":"MDEyMzQ1Njc4OWFiY2RlZg","service_context":"c"}}`
	for name, post := range map[string]attester.Post{
		"no JSON":      func(context.Context, string, []byte) ([]byte, error) { return []byte("<html>"), nil },
		"no data":      func(context.Context, string, []byte) ([]byte, error) { return []byte(`{}`), nil },
		"no base64":    func(context.Context, string, []byte) ([]byte, error) { return []byte(`{"data":"!"}`), nil },
		"no challenge": answers(`{"payload":{"service_context":"c"}}`),
		"no context":   answers(`{"payload":{"challenge":"MDEyMzQ1Njc4OWFiY2RlZg"}}`),
		"bad text":     answers(`{"payload":{"challenge":"!","service_context":"c"}}`),
		"a list":       answers(`[]`),
		"no report":    answers(good, `{"payload":{}}`),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := m.Attest(t.Context(), post)
			if bad := new(attester.BadAnswer); !errors.As(err, &bad) {
				t.Errorf("got %v, want a bad answer", err)
			}
		})
	}
}

func TestTheErrorsOfTheServiceComeAsTheyAre(t *testing.T) {
	m := machine(t, swtpmtest.Start(t))
	refuse := func(context.Context, string, []byte) ([]byte, error) { return nil, errRefused }
	if _, err := m.Attest(t.Context(), refuse); !errors.Is(err, errRefused) {
		t.Error(err)
	}
	if _, err := m.Enroll(t.Context(), refuse); !errors.Is(err, errRefused) {
		t.Error(err)
	}
}

// TestAChallengeThatIsTooLongForTheTPMIsNamed: only a certified key has the challenge in the quote as it is.
func TestAChallengeThatIsTooLongForTheTPMIsNamed(t *testing.T) {
	m := machine(t, swtpmtest.Start(t))
	long := base64.RawURLEncoding.EncodeToString(make([]byte, 1000))
	m.Key = attester.CertifiedKey
	_, err := m.Attest(t.Context(), answers(`{"payload":{"challenge":"`+long+`","service_context":"c"}}`))
	wantProblem(t, err, "certifying the request key", "")
}
