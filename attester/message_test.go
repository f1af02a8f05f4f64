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

// TestAChallengeThatATPMCannotCertifyIsTheServicesFault: only a certified key has the challenge in the quote as it is, and the size of one of 64 KB
// does not fit into the command.
func TestAChallengeThatATPMCannotCertifyIsTheServicesFault(t *testing.T) {
	m := machine(t, swtpmtest.Start(t))
	for size, want := range map[int][2]bool{64: {true, true}, 65: {true, false}, 1<<16 + 16: {true, false}} { // software, certified
		for i, kind := range []attester.KeyKind{attester.SoftwareKey, attester.CertifiedKey} {
			m.Key = kind
			challenge := base64.RawURLEncoding.EncodeToString(make([]byte, size))
			_, err := m.Attest(t.Context(), answers(`{"challenge":"`+challenge+`","service_context":"c"}`, `{"report":"r"}`))
			if bad := new(attester.BadAnswer); (err == nil) != want[i] || err != nil && !errors.As(err, &bad) {
				t.Errorf("%d bytes, key %d: %v", size, kind, err)
			}
		}
	}
}
