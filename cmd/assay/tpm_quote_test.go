package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// realQuote is a case of vectors/tpm/quotes/real.json.
type realQuote struct {
	ID, Nonce, EventLog string
	AKTPM2B             []byte `json:"ak_tpm2b_public"`
	AKTPMT              []byte `json:"ak_tpmt_public"`
	AKPEM               string `json:"ak_pem"`
	Quote, Signature    []byte
	PCRs                json.RawMessage
	Weak                []string
}

func realQuotes(t *testing.T) (cases []realQuote) {
	t.Helper()
	vectortest.ReadJSON(t, "tpm/quotes/real.json", &cases)
	cases = slices.DeleteFunc(cases, func(c realQuote) bool { return c.PCRs == nil })
	if len(cases) == 0 {
		vectortest.NoCase(t, "real quote")
	}
	return cases
}

// files writes the quote into files, and gives the flags for it but that of the nonce.
func (c *realQuote) files(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	public := append(slices.Concat(c.AKTPM2B, c.AKTPMT), c.AKPEM...) // one of them
	return []string{"--quote", put("quote", c.Quote), "--signature", put("signature", c.Signature), "--public", put("public", public),
		"--pcrs-file", put("pcrs", c.PCRs)}
}

// find gives the case of a name.
func findQuote(t *testing.T, id string) *realQuote {
	t.Helper()
	for _, c := range realQuotes(t) {
		if c.ID == id {
			return &c
		}
	}
	t.Fatalf("no quote %s", id)
	return nil
}

func TestQuoteVerifyGivesTheOutcomeOfEveryRealQuote(t *testing.T) {
	for _, c := range realQuotes(t) {
		t.Run(c.ID, func(t *testing.T) {
			args := append([]string{"tpm", "quote", "verify", "--json"}, c.files(t)...)
			if c.Nonce != "" {
				args = append(args, "--nonce", c.Nonce)
			}
			status, check := exitOK, ""
			switch {
			case len(c.Weak) > 0 && bytes.HasPrefix(c.Signature[2:], []byte{0, 4}): // signed with SHA-1, which no setting allows
				status, check = exitRefused, "sha1"
				args = append(args, "--allow-sha1")
			case slices.Contains(c.Weak, "PCR bank SHA-1"):
				assay(t, args...).want(t, exitRefused, `"check":"sha1"`, "")
				args = append(args, "--allow-sha1")
			}
			var got verdict
			o := assay(t, args...)
			o.read(t, &got)
			if o.status != status || got.Verified != (status == exitOK) || got.check() != check {
				t.Errorf("status %d: %s", o.status, o.stdout)
			}
		})
	}
}

func TestQuoteVerifyNamesTheCheckThatFailed(t *testing.T) {
	c := findQuote(t, "swtpm-rsassa-sha256")
	good := c.files(t)
	log := vectortest.Path(t, "tpm/eventlogs/ubuntu-2104-no-dbx.bin")
	other := vectortest.Path(t, "tpm/eventlogs/debian-10.bin")
	swap := func(name, value string) []string {
		args := slices.Clone(good)
		args[slices.Index(args, name)+1] = value
		return args
	}
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"another nonce", append(slices.Clone(good), "--nonce", "00"), "attest-nonce"},
		{"a part of the nonce", append(slices.Clone(good), "--nonce", c.Nonce[:4]), "attest-nonce"},
		{"another key", swap("--public", findQuote(t, "gce-cos85-nononce-sha256").files(t)[5]), "attest-signature"},
		{"another quote", swap("--quote", tempFile(t, "q", "\xFFTCG")), "attest-format"},
		{"another value", swap("--pcrs-file", tempFile(t, "p", strings.Replace(string(c.PCRs), `"0": "24af`, `"0": "24ae`, 1))), "pcr-digest"},
		{"a value missing", swap("--pcrs-file", tempFile(t, "p", `{"sha256":{}}`)), "pcr-selection"},
		{"another log", append(slices.Clone(good), "--event-log", other), "event-log-bank"},
	} {
		var got verdict
		o := assay(t, append([]string{"tpm", "quote", "verify", "--json"}, test.args...)...)
		o.read(t, &got)
		if o.status != exitRefused || got.check() != test.want {
			t.Errorf("%s: status %d, check %q, want %q: %s", test.name, o.status, got.check(), test.want, o.stdout)
		}
	}
	assay(t, append([]string{"tpm", "quote", "verify", "--nonce", c.Nonce, "--event-log", log}, good...)...).
		want(t, exitOK, "VERIFIED  TPM quote, signed by the key given, with the nonce given", "")
	assay(t, append([]string{"tpm", "quote", "verify"}, good...)...).want(t, exitOK, "NOT SHOWN TO BE FRESH", "")
	assay(t, append([]string{"tpm", "quote", "verify", "--event-log", log}, good[:6]...)...).want(t, exitOK, "VERIFIED", "") // the values of the log
	assay(t, append([]string{"tpm", "quote", "verify"}, good[:6]...)...).want(t, exitUsage, "", "--pcrs-file or --event-log is missing")
}

func TestFilesOfPCRValuesAreReadStrictly(t *testing.T) {
	good := findQuote(t, "swtpm-rsassa-sha256").files(t)[:6]
	for text, want := range map[string]string{
		`{}`: "names no bank", `{"md5":{}}`: "none of sha1", `{"sha256":{"24":"00"}}`: "none of 0 to 23", `{"sha256":{"x":"00"}}`: "none of 0 to 23",
		`{"sha256":{"0":"00"}}`: "not 32 bytes", `{"sha256":{"0":"zz"}}`: "not 32 bytes", `[`: "--pcrs-file",
	} {
		assay(t, append([]string{"tpm", "quote", "verify", "--pcrs-file", tempFile(t, "p", text)}, good...)...).want(t, exitUsage, "", want)
	}
}
