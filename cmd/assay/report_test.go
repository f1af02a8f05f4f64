package main

import (
	"crypto/sha256"
	"encoding/json"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/result"
)

const reportIssuer = "https://tpm.example"

// reporting is a provider that issues reports: its key set, and one report, made of the parts that the service makes it of.
func reporting(t *testing.T, provider string, at time.Time) (certs []byte, report string) {
	t.Helper()
	key, err := issuer.Generate(at)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := issuer.NewAuthority(func(label string) []byte { sum := sha256.Sum256([]byte(provider + label)); return sum[:] })
	if err != nil {
		t.Fatal(err)
	}
	keys, err := issuer.New(issuer.Config{Issuer: reportIssuer, Reports: ca}, []issuer.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []struct{ X5c [][]byte } }
	if err := json.Unmarshal(keys.Certs(at), &set); err != nil || len(set.Keys) != 2 {
		t.Fatalf("%d keys, %v", len(set.Keys), err)
	}
	report, err = result.ReportSigner{Key: key.Private, Chain: set.Keys[1].X5c}.Sign([]result.Member{
		{Name: "nbf", Value: at.Unix() - 300}, {Name: "exp", Value: at.Unix() + 3600}, {Name: "iat", Value: at.Unix()},
		{Name: "iss", Value: reportIssuer}, {Name: "nonce", Value: "AQIDBA"},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	return keys.Certs(at), report
}

func TestTokenVerifyTakesReports(t *testing.T) {
	at := time.Date(2030, 3, 17, 17, 46, 40, 0, time.UTC)
	certs, report := reporting(t, "alpha", at)
	others, _ := reporting(t, "beta", at)
	token, own, foreign := tempFile(t, "report.jwt", report), tempFile(t, "own.json", string(certs)), tempFile(t, "foreign.json", string(others))
	verify := func(jwks string) []string {
		return []string{"token", "verify", token, "--issuer", reportIssuer, "--jwks", jwks, "--at", at.Format(time.RFC3339), "--require", "nonce=AQIDBA"}
	}
	assay(t, verify(own)...).want(t, exitOK, "VERIFIED  token of "+reportIssuer, "")
	assay(t, verify(foreign)...).want(t, exitRefused, "unknown-key", "")
	assay(t, "token", "inspect", token).want(t, exitOK, "UNVERIFIED", "")
}
