package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// owner runs a command against the fake service with the token of an owner.
func (s *fakeService) owner(t *testing.T, args ...string) outcome {
	t.Helper()
	return world{now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)}.assay(t, append(args, "--endpoint", s.URL, "--ca", s.ca, "--token", "own")...)
}

// aikEntry is a certificate as the service writes it.
func aikEntry(id, notAfter, more string) string {
	return fmt.Sprintf(`{"id":%q,"certificate":"MAA","notAfter":%q,"aikHash":"aa","ekHash":"bb","by":"owner","at":"2026-03-01T00:00:00Z"%s}`, id, notAfter, more)
}

const revokedNow = `,"revokedAt":"2026-05-01T00:00:00Z","revokedBy":"admin","reason":"sold"`

func TestAIKListGetsEveryPage(t *testing.T) {
	s := newFakeService(t)
	pages := map[string]string{
		"":  aikEntry("a", "2026-08-01T00:00:00Z", "") + "," + aikEntry("b", "2026-05-31T00:00:00Z", ""),
		"b": aikEntry("c", "2026-08-01T00:00:00Z", revokedNow),
		"c": "",
	}
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/assay/v1/aik/certificates" || r.Header.Get("Authorization") != "Bearer own" || r.URL.Query().Get("top") != "1000" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		says(http.StatusOK, `{"certificates":[`+pages[r.URL.Query().Get("after")]+`]}`)(w, r)
	}
	o := s.owner(t, "aik", "list")
	o.want(t, exitOK, "CERTIFICATES  3", "")
	for _, want := range []string{"a   valid    2026-08-01T00:00:00Z", "b   expired  ", "c   revoked  "} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("want %q in\n%s", want, o.stdout)
		}
	}
	var got struct {
		Certificates []struct{ ID, State, Certificate, AIKHash, Reason string }
	}
	s.owner(t, "aik", "list", "--json").read(t, &got)
	if len(got.Certificates) != 3 || got.Certificates[2].State != "revoked" || got.Certificates[2].Reason != "sold" || got.Certificates[0].AIKHash != "aa" {
		t.Errorf("%+v", got)
	}
}

func TestAIKListEndsWithAServiceThatDoesNot(t *testing.T) {
	s := newFakeService(t)
	s.answer = says(http.StatusOK, `{"certificates":[`+aikEntry("a", "2026-08-01T00:00:00Z", "")+`]}`)
	s.owner(t, "aik", "list").want(t, exitService, "", "out of order")
	s.answer = says(http.StatusOK, `{"certificates":[null]}`)
	s.owner(t, "aik", "list").want(t, exitService, "", "out of order")
}

func TestAIKListReadsSoManyPages(t *testing.T) {
	s := newFakeService(t)
	for _, pages := range []int{maxAIKPages - 1, maxAIKPages} { // and an empty one
		asked := 0
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			entry := ""
			if asked++; asked <= pages {
				entry = aikEntry(fmt.Sprintf("%04d", asked), "2026-08-01T00:00:00Z", "")
			}
			says(http.StatusOK, `{"certificates":[`+entry+`]}`)(w, r)
		}
		if o := s.owner(t, "aik", "list"); pages < maxAIKPages {
			o.want(t, exitOK, "CERTIFICATES  99", "")
		} else {
			o.want(t, exitService, "", "more than 100 pages")
		}
	}
}

func TestAIKShowAndRevoke(t *testing.T) {
	s := newFakeService(t)
	s.answer = says(http.StatusOK, aikEntry("a/1", "2026-08-01T00:00:00Z", ""))
	s.owner(t, "aik", "show", "a/1").want(t, exitOK, "CERTIFICATE  a/1\n  state   valid\n  AIK     aa\n  EK      bb\n  until   2026-08-01T00:00:00Z\n  issued  2026-03-01T00:00:00Z by owner\n", "")
	if got := s.request.URL.EscapedPath(); got != "/assay/v1/aik/certificates/a%2F1" {
		t.Errorf("asked %s", got)
	}
	s.owner(t, "aik", "show", "other").want(t, exitService, "", `about the certificate "a/1", not about "other"`)
	s.owner(t, "aik", "revoke", "a/1").want(t, exitService, "", "without saying that")
	s.answer = says(http.StatusOK, aikEntry("a/1", "2026-08-01T00:00:00Z", revokedNow))
	s.owner(t, "aik", "revoke", "a/1", "--reason", "sold").want(t, exitOK, "REVOKED  a/1\n  state    revoked\n", "")
	if s.request.Method != http.MethodPost || !strings.HasSuffix(s.request.URL.EscapedPath(), "/a%2F1:revoke") || s.raw != `{"reason":"sold"}` {
		t.Errorf("%s %s %s", s.request.Method, s.request.URL, s.raw)
	}
	s.owner(t, "aik", "show").want(t, exitUsage, "", "ID is missing")
}

func TestAIKCommandsTellWhatTheServiceRefuses(t *testing.T) {
	s := newFakeService(t)
	s.answer = says(http.StatusBadRequest, `{"error":{"code":"InvalidOperation","message":"aik_enrolment is off"}}`)
	hash := strings.Repeat("ab", 32)
	for _, words := range []string{"aik list", "aik show a", "aik revoke a", "aik pin --kind ek --hash " + hash, "aik unpin --kind aik --hash " + hash} {
		s.owner(t, strings.Fields(words)...).want(t, exitRefused, "aik_enrolment is off", "")
	}
	s.answer = says(http.StatusNotFound, `{"error":{"code":"NotFound","message":"none"}}`)
	for _, words := range []string{"aik list", "aik unpin --kind aik --hash " + hash} {
		s.owner(t, strings.Fields(words)...).want(t, exitRefused, "only Assay has this operation", "")
	}
}

// hashOf is what the service knows a key by, from its SubjectPublicKeyInfo.
func hashOf(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// rsaHash is the hash of the RSA key whose public area ends in its modulus of 2048 bits.
func rsaHash(t *testing.T, area []byte) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(area[len(area)-256:]), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	return hashOf(der)
}

func TestAPinIsTheHashOfTheKeyWhateverFileItIsIn(t *testing.T) {
	var quotes []struct {
		ID     string
		AKPEM  string `json:"ak_pem"`
		AK2B   []byte `json:"ak_tpm2b_public"`
		AKArea []byte `json:"ak_tpmt_public"`
	}
	vectortest.ReadJSON(t, "tpm/quotes/real.json", &quotes)
	s := newFakeService(t)
	s.answer = says(http.StatusCreated, "{}")
	seen := map[string]int{}
	pin := func(name string, content []byte, want string) {
		t.Helper()
		s.owner(t, "aik", "pin", tempFile(t, "key", string(content)), "--kind", "aik").want(t, exitOK, "PINNED  aik "+want, "")
		if s.request.Method != http.MethodPut || s.request.URL.Path != "/assay/v1/aik/pins/"+want {
			t.Errorf("%s: %s %s", name, s.request.Method, s.request.URL)
		}
		seen[name]++
	}
	for _, q := range quotes {
		switch block, _ := pem.Decode([]byte(q.AKPEM)); {
		case block != nil:
			pin("PEM", []byte(q.AKPEM), hashOf(block.Bytes))
			pin("DER", block.Bytes, hashOf(block.Bytes))
		case q.AK2B != nil && bytes.HasPrefix(q.AK2B[2:], []byte{0, 1}):
			pin("TPM2B", q.AK2B, rsaHash(t, q.AK2B))
			pin("TPMT", q.AK2B[2:], rsaHash(t, q.AK2B))
		case q.AKArea != nil:
			pin("TPMT", q.AKArea, rsaHash(t, q.AKArea))
		}
	}
	der := vectortest.Read(t, "tpm/certs/azure/akcert_0x01C101D0.der")
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pin("certificate", der, hashOf(cert.RawSubjectPublicKeyInfo))
	pin("padded certificate", append(der, 0, 0, 0), hashOf(cert.RawSubjectPublicKeyInfo))
	for _, kind := range []string{"PEM", "DER", "TPM2B", "TPMT", "certificate"} {
		if seen[kind] == 0 {
			vectortest.NoCase(t, kind)
		}
	}
}

func TestPinsOfEndorsementKeysAndUnpinning(t *testing.T) {
	s := newFakeService(t)
	file := vectortest.Path(t, "tpm/certs/swtpm/ek-rsa2048.der")
	cert, err := x509.ParseCertificate(vectortest.Read(t, "tpm/certs/swtpm/ek-rsa2048.der"))
	if err != nil {
		t.Fatal(err)
	}
	hash := hashOf(cert.RawSubjectPublicKeyInfo)
	s.answer = says(http.StatusOK, "{}")
	s.owner(t, "aik", "pin", file, "--kind", "ek").want(t, exitOK, "ALREADY PINNED  ek "+hash, "")
	if s.request.URL.Path != "/assay/v1/ek/"+hash {
		t.Error(s.request.URL)
	}
	s.answer = says(http.StatusNoContent, "")
	var got map[string]any
	s.owner(t, "aik", "unpin", "--hash", strings.ToUpper(hash), "--kind", "ek", "--json").read(t, &got)
	if len(got) != 3 || got["kind"] != "ek" || got["hash"] != hash || got["result"] != "unpinned" || s.request.Method != http.MethodDelete {
		t.Errorf("%v, asked %s", got, s.request.Method)
	}
}

func TestWhatIsNoKeyIsNotPinned(t *testing.T) {
	s := newFakeService(t)
	s.answer = func(http.ResponseWriter, *http.Request) { t.Error("something was sent") }
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}))
	certs := string(vectortest.Read(t, "tpm/certs/azure/AZURE_VTPM_ROOT_2023.pem"))
	var quotes []struct {
		AK2B []byte `json:"ak_tpm2b_public"`
	}
	vectortest.ReadJSON(t, "tpm/quotes/real.json", &quotes)
	area := []byte{}
	for _, q := range quotes {
		if q.AK2B != nil {
			area = bytes.Clone(q.AK2B)
		}
	}
	area[7] &^= 1 // bit 16 of the attributes: restricted
	for name, test := range map[string]struct {
		content string
		status  int
		stderr  string
	}{
		"text":             {"a key", exitUsage, "nor the public area of a TPM's key"},
		"empty":            {"", exitUsage, "nor the public area of a TPM's key"},
		"a private key":    {private, exitUsage, "expected a PUBLIC KEY or CERTIFICATE"},
		"two certificates": {certs + certs, exitUsage, "found more"},
		"damaged PEM":      {"-----BEGIN PUBLIC KEY-----\n", exitUsage, "damaged"},
		"bad DER":          {"0\x03\x02\x01\x05", exitUsage, "neither a public key nor a certificate"},
		"too large":        {strings.Repeat("x", maxPEM+1), exitUsage, "at most 1048576 are read"},
		"RSA 1024":         {string(vectortest.Read(t, "tpm/certs/synthetic/aik-rsa1024.der")), exitRefused, "too short"},
		"not restricted":   {string(area), exitRefused, "restricted"},
	} {
		t.Run(name, func(t *testing.T) {
			s.owner(t, "aik", "pin", tempFile(t, "key", test.content), "--kind", "aik").want(t, test.status, "", test.stderr)
		})
	}
	area[7] |= 1
	s.owner(t, "aik", "pin", tempFile(t, "key", string(area)), "--kind", "ek").want(t, exitRefused, "", "endorsement key")
	present := tempFile(t, "key", certs)
	for args, want := range map[string]string{
		"aik pin --kind ek":                                         "expected a FILE with the key, or --hash",
		"aik pin " + present:                                        "--kind is missing",
		"aik pin --kind tpm " + present:                             "expected ek or aik",
		"aik pin --kind ek --hash 12":                               "expected 64 hexadecimal digits",
		"aik unpin --kind ek --hash " + hashOf(nil) + " " + present: "expected a FILE with the key, or --hash",
	} {
		s.owner(t, strings.Fields(args)...).want(t, exitUsage, "", want)
	}
}
