package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/store"
)

// denied are the records of refused callers, from a point of the trail on.
func denied(t *testing.T, folder string) (records []auditRecord) {
	t.Helper()
	for _, r := range trail(t, folder) {
		if r.ResultSignature == "401" || r.ResultSignature == "403" {
			records = append(records, r)
		}
	}
	return records
}

// TestDenialsAreInTheAuditTrail: who, what, why and in which request, and nothing of the token.
func TestDenialsAreInTheAuditTrail(t *testing.T) {
	e := startEstate(t, config.Config{}, store.Provider{Name: "other"})
	reader := e.token("default.reader")
	expired := e.v1.Token(e.claims("default.owner", "exp", time.Now().Add(-time.Hour).Unix()))
	const oid = "7a1c1b3e-0f5d-4c0e-9a55-3f8f2d7b6c10" // that of the issuer's tokens
	for i, tt := range []struct {
		sending
		operation, provider string
		who                 string // part of the identity; empty: nobody proved anything
	}{
		{sending{method: "GET", path: "/policies/SgxEnclave?api-version=2022-08-01"}, "GetCurrentPolicy", "default", ""},
		{sending{method: "PUT", path: "/policies/SgxEnclave?api-version=2022-08-01", token: reader}, "SetCurrentPolicy", "default", oid},
		{sending{method: "POST", path: "/policies/SgxEnclave:reset?api-version=2022-08-01", token: expired}, "ResetAttestationPolicy", "default", ""},
		{sending{at: "other", method: "GET", path: "/certificates?api-version=2022-08-01&access_token=" + reader, token: reader}, "GetPolicyManagementCertificates", "other", oid},
		{sending{method: "POST", path: "/assay/v1/keys:rotate?sig=" + reader, token: e.token("default.contributor")}, "RotateSigningKey", "default", oid},
	} {
		a := e.send(t, tt.sending)
		records := denied(t, e.cfg.Data)
		if len(records) != i+1 {
			t.Fatalf("%s %s: %d denials in the trail, want %d", tt.method, tt.path, len(records), i+1)
		}
		r := records[i]
		if r.OperationName != tt.operation || r.Properties.Provider != tt.provider || r.Properties.Code != "Unauthorized" || r.ResultSignature != "401" ||
			r.Properties.RequestID != a.header.Get("x-ms-request-id") || r.CallerIPAddress != "127.0.0.1" {
			t.Errorf("%s: %s", tt.operation, r.text)
		}
		if strings.Contains(r.Identity, oid) != (tt.who != "") {
			t.Errorf("%s: identity %s, want %q", tt.operation, r.Identity, tt.who)
		}
		for _, part := range strings.Split(reader+"."+expired+"."+tt.token, ".") {
			if part != "" && strings.Contains(r.text, part) {
				t.Errorf("%s: the record holds a part of a token: %s", tt.operation, r.text)
			}
		}
	}
}

// TestRefusedChangesAreInTheAuditTrail: somebody who may change policies, and sends one that is none, is recorded too; whoever may
// only look leaves nothing by a mistake.
func TestRefusedChangesAreInTheAuditTrail(t *testing.T) {
	e := startEstate(t, config.Config{})
	before := len(trail(t, e.cfg.Data))
	e.send(t, sending{method: "PUT", path: "/policies/SgxEnclave?api-version=2022-08-01", token: e.token("default.contributor"), body: "no JWS"})
	e.send(t, sending{method: "GET", path: "/policies/Nothing?api-version=2022-08-01", token: e.token("default.reader")})
	records := trail(t, e.cfg.Data)[before:]
	if len(records) != 1 || records[0].OperationName != "SetCurrentPolicy" || records[0].Properties.Code != "InvalidOperation" || records[0].ResultSignature != "400" {
		t.Fatalf("%d records: %+v", len(records), records)
	}
}

// rare is a rate at which nothing comes back while a test runs.
func rare(burst int) config.Rate { return config.Rate{PerSecond: 0.001, Burst: burst} }

// slowedDown checks the answer of somebody who came too often (README.md section 8 of the specification).
func (a answer) slowedDown(t *testing.T, what string) {
	t.Helper()
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	p := a.problem(t)
	if a.status != http.StatusTooManyRequests || err != nil || seconds < 1 || p.Code != "TooManyRequests" ||
		p.Message != "Too many requests, retry after "+strconv.Itoa(seconds)+" seconds." {
		t.Errorf("%s: status %d, Retry-After %q: %s", what, a.status, a.header.Get("Retry-After"), a.body)
	}
}

// TestDenialsAreLimitedByAddress: who is refused too often is told to wait, and fills the trail no further. Those who are let in are
// not held up by it.
func TestDenialsAreLimitedByAddress(t *testing.T) {
	const path = "/policies/SgxEnclave?api-version=2022-08-01"
	for name, token := range map[string]func(*estate) string{
		"nobody":           func(*estate) string { return "" },
		"without a role":   func(e *estate) string { return e.token("nothing") },
		"with a bad token": func(e *estate) string { return e.v1.Unsigned(e.claims("default.owner")) },
	} {
		t.Run(name, func(t *testing.T) {
			e := startEstate(t, config.Config{Limits: config.Limits{Denied: rare(3)}})
			q := sending{method: "PUT", path: path, token: token(e)}
			for range 3 {
				if a := e.send(t, q); a.status != http.StatusUnauthorized {
					t.Fatalf("status %d, want 401", a.status)
				}
			}
			for range 3 {
				e.send(t, q).slowedDown(t, "denied")
			}
			if n := len(denied(t, e.cfg.Data)); n != 3 {
				t.Errorf("%d denials in the trail, want 3", n)
			}
			if a := e.send(t, sending{method: "GET", path: path, token: e.token("default.reader")}); a.status != http.StatusOK {
				t.Errorf("the reader: status %d", a.status)
			}
		})
	}
}

// TestDenialsOfManyAddressesFillNoTrail: the answers stay what they are.
func TestDenialsOfManyAddressesFillNoTrail(t *testing.T) {
	e := startEstate(t, config.Config{Limits: config.Limits{AllDenied: rare(3)}})
	before := len(denied(t, e.cfg.Data))
	for n := range 6 {
		a := from(e.service, fmt.Sprintf("192.0.2.%d:1", n), "GET", "/certificates?api-version=2022-08-01", "")
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("address %d: status %d, challenge %q", n, a.status, a.header.Get("WWW-Authenticate"))
		}
	}
	if n := len(denied(t, e.cfg.Data)) - before; n != 3 {
		t.Errorf("%d rows of the audit trail, want 3", n)
	}
}

func TestManagementIsLimitedByCaller(t *testing.T) {
	e := startEstate(t, config.Config{Limits: config.Limits{Management: rare(2)}})
	reader := sending{method: "GET", path: "/policies/SgxEnclave?api-version=2022-08-01", token: e.token("default.reader")}
	for range 2 {
		if a := e.send(t, reader); a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	e.send(t, reader).slowedDown(t, "the same caller")
	reader.token = e.v1.Token(e.claims("default.reader", "oid", "somebody-else"))
	if a := e.send(t, reader); a.status != http.StatusOK {
		t.Errorf("another caller: status %d", a.status)
	}
	if a := e.send(t, sending{method: "GET", path: "/certs"}); a.status != http.StatusOK {
		t.Errorf("what needs no permission: status %d", a.status)
	}
}

// from sends a request as one that came from an address.
func from(h http.Handler, address, method, path, token string) answer {
	r := httptest.NewRequest(method, "https://localhost"+path, nil)
	r.RemoteAddr = address
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.Bytes()}
}

func TestEverythingIsLimitedByAddress(t *testing.T) {
	e := startEstate(t, config.Config{Limits: config.Limits{Address: rare(2)}})
	get := func(address, path string) answer { return from(e.service, address, "GET", path, "") }
	for _, path := range []string{"/certs", "/nothing"} {
		if a := get("203.0.113.7:1", path); a.status == http.StatusTooManyRequests {
			t.Fatalf("%s: status %d", path, a.status)
		}
	}
	get("203.0.113.7:2", "/certs").slowedDown(t, "the same address from another port")
	get("[::ffff:203.0.113.7]:2", "/certs").slowedDown(t, "the same address as IPv6 writes it")
	if a := get("203.0.113.8:1", "/certs"); a.status != http.StatusOK {
		t.Errorf("another address: status %d", a.status)
	}
	get("[2001:db8::1]:1", "/certs")
	get("[2001:db8::2]:1", "/certs")
	get("[2001:db8::3]:1", "/certs").slowedDown(t, "an address of the same /64")
	if a := get("[2001:db8:0:1::1]:1", "/certs"); a.status != http.StatusOK {
		t.Errorf("an address of another /64: status %d", a.status)
	}
}

// TestPrivateProvidersAnswerNoPublicAddress covers publicNetworkAccess (management.md section 9).
func TestPrivateProvidersAnswerNoPublicAddress(t *testing.T) {
	e := startEstate(t, config.Config{}, store.Provider{Name: "closed", PublicNetworkAccess: "Disabled"}, store.Provider{Name: "enabled", PublicNetworkAccess: "Enabled"})
	token := e.token("All.owner")
	public := []string{"203.0.113.7:1", "[2001:db8::1]:1", "[::ffff:203.0.113.7]:1", "8.8.8.8:443", "100.64.0.1:1", "0.0.0.0:1", "[::]:1", "172.32.0.1:1", "nonsense", ""}
	for _, address := range public {
		for _, op := range []string{"GET /certs", "POST /attest/SgxEnclave?api-version=2022-08-01", "GET /policies/SgxEnclave?api-version=2022-08-01", "PUT /policies/SgxEnclave?api-version=2022-08-01"} {
			method, path, _ := strings.Cut(op, " ")
			a := from(e.service.For(e.ids["closed"]), address, method, path, token)
			if p := a.problem(t); a.status != http.StatusForbidden || p.Code != "Forbidden" || !strings.Contains(p.Message, "publicNetworkAccess") {
				t.Errorf("%s from %q: status %d: %s", op, address, a.status, a.body)
			}
			if a := from(e.service.For(e.ids["enabled"]), address, method, path, token); a.status == http.StatusForbidden {
				t.Errorf("%s from %q: refused by the provider that is open", op, address)
			}
		}
	}
	for _, address := range []string{"127.0.0.1:1", "[::1]:1", "10.1.2.3:1", "172.16.0.1:1", "192.168.9.9:1", "[fd00::1]:1", "[fe80::1%eth0]:1", "[::ffff:10.0.0.1]:1", "169.254.1.1:1"} {
		if a := from(e.service.For(e.ids["closed"]), address, "GET", "/certs", ""); a.status != http.StatusOK {
			t.Errorf("from %q: status %d: %s", address, a.status, a.body)
		}
	}
	for _, r := range denied(t, e.cfg.Data) {
		if r.Properties.Code != "Forbidden" || r.Properties.Provider != "closed" {
			t.Errorf("recorded: %s", r.text)
		}
	}
	if n := len(denied(t, e.cfg.Data)); n != 4*len(public) {
		t.Errorf("%d denials in the trail, want %d", n, 4*len(public))
	}
}

// TestDevelopmentTokensOpenTheirRoles: in development mode the built-in issuer is believed beside the configured ones. Its contributor
// stands for Azure's Contributor, who may manage the provider as well.
func TestDevelopmentTokensOpenTheirRoles(t *testing.T) {
	e := startEstate(t, config.Config{Dev: true}, store.Provider{Name: "other"})
	token := func(role auth.Role, providers ...string) string {
		made, err := e.dev.Token(role, providers, nil, time.Now(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	for _, c := range []caller{
		{"reader", token(auth.Reader, "*"), []need{listing, reading}},
		{"contributor", token(auth.Contributor, "default"), []need{listing, reading, writing, deleting, ownership}},
		{"contributor of another", token(auth.Contributor, "other"), []need{listing}},
		{"reader of Entra", e.token("default.reader"), []need{listing, reading}},
	} {
		e.try(t, on{dataPlane, controlPlane}, c)
	}
}
