package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/vectortest"
)

const (
	snpPath = "/attest/SevSnpVm?api-version=2022-08-01"
	tdxPath = "/attest/TdxVm?api-version=2023-04-01-preview"
)

// guestCase is a report of an index of vectors/snp, or a request around one.
type guestCase struct {
	ID, Report, Chain, Root, CRL, Expect, Code, Request string

	RuntimeData string `json:"runtime_data"`
	At          time.Time
}

// guestCases reads an index of vectors/snp.
func guestCases(t testing.TB, index string) (list []guestCase) {
	t.Helper()
	vectortest.ReadJSON(t, "snp/"+index, &list)
	if len(list) == 0 {
		vectortest.NoCase(t, "case of snp/"+index)
	}
	return list
}

// guestCase finds a case by its id.
func findGuest(t testing.TB, index, id string) guestCase {
	t.Helper()
	for _, c := range guestCases(t, index) {
		if c.ID == id {
			return c
		}
	}
	vectortest.NoCase(t, id)
	return guestCase{}
}

func (c guestCase) file(t testing.TB, name string) []byte {
	t.Helper()
	return vectortest.Read(t, "snp/"+name)
}

// config is a service that trusts the root of the case beside AMD's, at its time.
func (c guestCase) config(t testing.TB, folder string, settings provider.Settings) config.Config {
	t.Helper()
	return config.Config{Data: folder, At: c.At, AMDRoots: []string{vectortest.Path(t, "snp/"+c.Root)}, Settings: settings}
}

// wrapped is the member report of a request: the JSON document with report and chain, and endorsements if there are any.
func wrapped(report, chain, endorsements []byte) string {
	members := map[string]string{"SnpReport": b64url(report)}
	if chain != nil {
		members["VcekCertChain"] = b64url(chain)
	}
	if endorsements != nil {
		members["Endorsements"] = b64url([]byte(text(map[string][]string{"Uvm": {b64url(endorsements)}})))
	}
	return b64url([]byte(text(members)))
}

// body is the request for the case: with its runtime data as JSON, and further members.
func (c guestCase) body(t testing.TB, members ...any) body {
	t.Helper()
	b := body{"report": wrapped(c.file(t, c.Report), c.file(t, c.Chain), nil)}
	if c.RuntimeData != "" {
		b["runtimeData"] = data(string(c.file(t, c.RuntimeData)), "JSON")
	}
	for i := 0; i < len(members); i += 2 {
		b[members[i].(string)] = members[i+1]
	}
	return b
}

// guest sends a request for a case.
func (s *testService) guest(t testing.TB, b body) answer {
	t.Helper()
	return s.do(t, http.MethodPost, snpPath, text(b))
}

// decoded reads base64 of any kind.
func decoded(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(s), "="))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// certificate writes the n-th certificate of a chain into a file.
func (c guestCase) certificate(t testing.TB, n int) string {
	t.Helper()
	rest := c.file(t, c.Chain)
	for i := 0; ; i++ {
		block, after := pem.Decode(rest)
		if block == nil {
			t.Fatalf("no certificate %d in %s", n, c.Chain)
		}
		if rest = after; i == n {
			return tempFile(t, string(pem.EncodeToMemory(block)))
		}
	}
}

// crlPEM is a revocation list in PEM, as settings take it.
func (c guestCase) crlPEM(t testing.TB, file string) string {
	t.Helper()
	b := c.file(t, file)
	if bytes.HasPrefix(b, []byte("-----")) {
		return string(b)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: b}))
}
