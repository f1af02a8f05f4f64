package service_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
)

const tpmPath = "/attest/Tpm?api-version=2022-08-01"

// tpmPolicy permits simulated machines, whose reports live for that many minutes.
func tpmPolicy(minutes int) string {
	return fmt.Sprintf(`version= 1.2;configurationrules{=> issueproperty(type="required_pcr_mask", value=32767);};authorizationrules{=> permit();};
issuancerules{c:[type=="secureBootEnabled"] => issue(claim=c); => issueproperty(type="report_validity_in_minutes", value=%d);};`, minutes)
}

// setTPMPolicy sets the policy of the provider under a host name, and waits until all replicas have it.
func setTPMPolicy(t *testing.T, host, policy string, all ...*replica) {
	t.Helper()
	a, err := all[0].doAt(host, http.MethodPut, "/policies/Tpm?api-version=2022-08-01", []byte(unsignedJWS(policy)), "text/plain")
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("setting a policy: %v, status %d: %s", err, a.status, a.body)
	}
	for _, r := range all {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if _, _, err = r.challenge(host, machine(t)); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("replica %s: %v", r.name, err)
			}
		}
	}
}

// tpmVendor makes the keys of the simulated machine once, which takes some seconds.
var tpmVendor = sync.OnceValue(assaytest.WellKnownTPMVendor)

// machine is a simulated one.
func machine(t testing.TB) *assaytest.TPMScenario {
	t.Helper()
	sc, err := tpmVendor().BootScenario(assaytest.SoundTPMBoot())
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// tpm sends a message of the TPM protocol to the provider under a host name and decodes what is in the answer.
func (r *replica) tpm(host, data string, into any) (answer, error) {
	body, err := json.Marshal(map[string]string{"data": data})
	if err != nil {
		return answer{}, err
	}
	a, err := r.doAt(host, http.MethodPost, tpmPath, body, "application/json")
	if err != nil || a.status != http.StatusOK {
		return a, errors.Join(err, fmt.Errorf("status %d: %s", a.status, a.body))
	}
	var outer struct{ Data string }
	if err := json.Unmarshal(a.body, &outer); err != nil {
		return a, err
	}
	inner, err := base64.RawURLEncoding.DecodeString(outer.Data)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(inner, into)
}

// challenge asks for one.
func (r *replica) challenge(host string, sc *assaytest.TPMScenario) (challenge []byte, context string, err error) {
	var m struct {
		Payload struct {
			Challenge string `json:"challenge"`
			Context   string `json:"service_context"`
		}
	}
	if _, err = r.tpm(host, sc.Init(), &m); err != nil {
		return nil, "", err
	}
	challenge, err = base64.RawURLEncoding.DecodeString(m.Payload.Challenge)
	return challenge, m.Payload.Context, err
}

// report answers the challenge of another replica, and perhaps of another provider.
func (r *replica) report(host string, by *replica, byHost string, sc *assaytest.TPMScenario) (report string, a answer, err error) {
	challenge, context, err := by.challenge(byHost, sc)
	if err != nil {
		return "", answer{}, err
	}
	request, err := sc.Request(challenge, context)
	if err != nil {
		return "", answer{}, err
	}
	var m struct{ Payload struct{ Report string } }
	a, err = r.tpm(host, sc.Data(request), &m)
	return m.Payload.Report, a, err
}

// relyOn verifies a report as a relying party that fetches the keys from this replica.
func (r *replica) relyOn(report string) error {
	v, err := relyingparty.New(relyingparty.Config{Issuer: externalURL, HTTPClient: r.client, AllowDevelopment: true})
	if err != nil {
		return err
	}
	token, err := v.Verify(r.t.Context(), report)
	if err != nil {
		return err
	}
	if enabled, ok := token.Bool("secureBootEnabled"); !enabled || !ok {
		return fmt.Errorf("claims %s", token.Payload())
	}
	return nil
}

// TestAChallengeIsAnsweredAtAnyReplica: neither of both keeps anything, and each lists the key by which the other signs reports, with
// the same chain.
func TestAChallengeIsAnsweredAtAnyReplica(t *testing.T) {
	all := threeReplicas(t, "")
	setTPMPolicy(t, externalHost, tpmPolicy(10), all...)
	sc := machine(t)
	headers := map[string]bool{}
	for _, a := range all {
		for _, b := range all {
			report, _, err := b.report(externalHost, a, externalHost, sc)
			if err != nil {
				t.Fatalf("challenge of %s answered at %s: %v", a.name, b.name, err)
			}
			header, _, _ := strings.Cut(report, ".")
			headers[header] = true
			for _, r := range all {
				if err := r.relyOn(report); err != nil {
					t.Errorf("report of %s with the keys of %s: %v", b.name, r.name, err)
				}
			}
		}
	}
	if len(headers) != 1 {
		t.Errorf("%d different headers, want the same key and chain of all replicas", len(headers))
	}
}

// TestAChallengeOutlivesItsReplica: it is answered at one that started after the other was killed.
func TestAChallengeOutlivesItsReplica(t *testing.T) {
	all := threeReplicas(t, "")
	setTPMPolicy(t, externalHost, tpmPolicy(10), all...)
	sc := machine(t)
	challenge, context, err := all[0].challenge(externalHost, sc)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		r.kill()
	}
	all[1].mustStart()
	request, err := sc.Request(challenge, context)
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Payload struct{ Report string } }
	if _, err := all[1].tpm(externalHost, sc.Data(request), &m); err != nil {
		t.Fatal(err)
	}
	if err := all[1].relyOn(m.Payload.Report); err != nil {
		t.Error(err)
	}
}

// TestAChallengeIsOfOneProvider: another one refuses it, at each replica, and its reports are by another key.
func TestAChallengeIsOfOneProvider(t *testing.T) {
	const other = "other." + externalHost
	all := threeReplicas(t, "provider_url: https://{name}."+externalHost+"\n")
	a, err := all[0].do(http.MethodPut, "/assay/v1/providers/other", []byte("{}"), "application/json")
	if err != nil || a.status != http.StatusCreated {
		t.Fatalf("%v: status %d: %s", err, a.status, a.body)
	}
	setTPMPolicy(t, externalHost, tpmPolicy(10), all...)
	setTPMPolicy(t, other, tpmPolicy(10), all...)
	sc := machine(t)
	for _, tt := range []struct{ of, at string }{{externalHost, other}, {other, externalHost}} {
		for _, r := range all[1:] {
			_, a, err := r.report(tt.at, all[0], tt.of, sc)
			if err == nil || a.status != http.StatusBadRequest || !strings.Contains(string(a.body), "tpm-challenge: the service context was issued by another attestation provider") {
				t.Errorf("challenge of %s answered at %s: status %d: %s", tt.of, tt.at, a.status, a.body)
			}
		}
	}
	report, _, err := all[1].report(other, all[0], other, sc)
	if err != nil {
		t.Fatal(err)
	}
	refusal, ok := errors.AsType[*result.Refusal](all[1].relyOn(report))
	if !ok || refusal.Reason != result.UnknownKey && refusal.Reason != result.Issuer {
		t.Errorf("the report of another provider: %v", refusal)
	}
}

// TestReportsVerifyAfterTheirKeyWasRotated, on command and by turns through two replicas: each replica lists the old keys as long as
// reports by them live, and relying parties that come late verify them.
func TestReportsVerifyAfterTheirKeyWasRotated(t *testing.T) {
	const year = 525600
	all := threeReplicas(t, shortLead)[:2]
	setTPMPolicy(t, externalHost, tpmPolicy(year), all...)
	sc := machine(t)
	var reports []string
	for n := range 3 {
		if n > 0 {
			rotate(t, all[n%2])
		}
		reports = append(reports, reportOfNewKey(t, all[n%2], all[(n+1)%2], sc, reports))
	}
	for _, r := range all {
		for n, report := range reports {
			if err := r.relyOn(report); err != nil {
				t.Errorf("report %d with the keys of %s: %v", n, r.name, err)
			}
		}
	}
}

// reportOfNewKey waits for a report by a key that has signed none of the others.
func reportOfNewKey(t *testing.T, r, by *replica, sc *assaytest.TPMScenario, others []string) string {
	t.Helper()
	sameKey := func(a, b string) bool {
		a, _, _ = strings.Cut(a, ".")
		b, _, _ = strings.Cut(b, ".")
		return a == b
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		report, _, err := r.report(externalHost, by, externalHost, sc)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(others, func(other string) bool { return sameKey(report, other) }) {
			return report
		}
		if time.Now().After(end) {
			t.Fatal("the new key does not sign")
		}
	}
}
