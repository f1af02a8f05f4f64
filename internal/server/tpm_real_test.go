package server_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// hexPCRs are values of a bank as the vectors have them.
type hexPCRs map[string]string

// sha1Values are all PCRs: those given, the others as a reset leaves them (tpm-evidence.md section 6).
func (p hexPCRs) sha1Values(t testing.TB) (v assaytest.TPMValues) {
	t.Helper()
	for i := range v {
		v[i] = make([]byte, crypto.SHA1.Size())
		if i >= 17 && i <= 22 {
			v[i] = []byte(strings.Repeat("\xff", crypto.SHA1.Size()))
		}
	}
	for index, digest := range p {
		i, err := strconv.Atoi(index)
		if err != nil {
			t.Fatal(err)
		}
		if v[i], err = hex.DecodeString(digest); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// realLog is a log of the vectors with the PCRs of the machine: the recorded ones where there is a quote, else those that it replays to.
type realLog struct {
	file string
	pcrs hexPCRs
}

// realQuote is a recorded quote (vectors/tpm/quotes/real.json).
type realQuote struct {
	ID, EventLog     string
	Quote, Signature []byte
	Public           []byte `json:"ak_tpmt_public"`
	PCRs             map[string]hexPCRs
}

func realQuotes(t testing.TB) []realQuote {
	t.Helper()
	var all struct{ Cases []realQuote }
	b := vectortest.Read(t, "tpm/quotes/real.json")
	if json.Unmarshal(b, &all) != nil {
		decode(t, b, &all.Cases)
	}
	return all.Cases
}

// realLogs finds logs of the indexes by the names of their files, without what follows the first dot.
func realLogs(t testing.TB) map[string]realLog {
	t.Helper()
	var index []struct {
		File     string
		Replayed map[string]hexPCRs `json:"replayed_pcrs"`
	}
	vectortest.ReadJSON(t, "tpm/eventlogs/index.json", &index)
	logs := map[string]realLog{}
	add := func(file string, banks map[string]hexPCRs) {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		logs[name] = realLog{"tpm/" + file, banks["sha1"]}
	}
	for _, l := range index {
		add(l.File, l.Replayed)
	}
	for _, q := range realQuotes(t) {
		if q.EventLog != "" {
			add(q.EventLog, q.PCRs)
		}
	}
	return logs
}

// sha1Machine is one that boots as the log tells and whose software TPM quotes all PCRs of its SHA-1 bank.
func sha1Machine(t testing.TB, l realLog, edits ...func(*assaytest.TPMScenario)) *assaytest.TPMScenario {
	t.Helper()
	sc := tpmVendor().Scenario()
	sc.Current.Raw = []assaytest.TPMLogFile{{Type: "TCG", Bytes: vectortest.Read(t, l.file)}}
	sc.Current.Values = map[crypto.Hash]assaytest.TPMValues{crypto.SHA1: l.pcrs.sha1Values(t)}
	sc.Current.Quoted = []assaytest.TPMSelection{{Bank: crypto.SHA1, PCRs: assaytest.AllPCRs()}}
	for _, edit := range edits {
		edit(sc)
	}
	return sc
}

// realPolicy is a sample policy and what it says of real logs, by their names.
type realPolicy struct {
	name, text, hash string
	expected         map[string]map[string]any
}

// realPolicies are those of vectors/policies with results on real logs.
func realPolicies(t testing.TB) (policies []realPolicy) {
	t.Helper()
	var index map[string]struct {
		Hash string            `json:"policy_hash"`
		Logs map[string]string `json:"expected_on_real_logs"`
	}
	var expected map[string]map[string]map[string]any
	vectortest.ReadJSON(t, "policies/index.json", &index)
	vectortest.ReadJSON(t, "policies/expected-on-real-windows-logs.json", &expected)
	for _, name := range slices.Sorted(maps.Keys(index)) {
		p := realPolicy{name, "", index[name].Hash, map[string]map[string]any{}}
		for log := range index[name].Logs {
			p.expected[log] = expected[name][log]
		}
		if len(p.expected) > 0 {
			p.text = string(vectortest.Read(t, "policies/"+name))
			policies = append(policies, p)
		}
	}
	if len(policies) == 0 {
		vectortest.NoCase(t, "policy with results on real logs")
	}
	return policies
}

var allowSHA1 = provider.Settings{TPMSettings: provider.TPMSettings{AllowSHA1: true}}

// TestRealWindowsMachinesUnderSamplePolicies has machines with real logs attest in both versions of the protocol: the policies issue
// exactly what expected-on-real-windows-logs.json says.
func TestRealWindowsMachinesUnderSamplePolicies(t *testing.T) {
	logs := realLogs(t)
	for _, p := range realPolicies(t) {
		s := startTPM(t, config.Config{Settings: allowSHA1}, p.text)
		for log, want := range p.expected {
			for version, edits := range map[string][]func(*assaytest.TPMScenario){" v2": nil, " v1": {version1}} {
				t.Run(p.name+" "+log+version, func(t *testing.T) {
					l, ok := logs[log]
					if !ok {
						t.Fatal("the log is in no index")
					}
					claims, _, _ := s.attestTPM(t, sha1Machine(t, l, edits...)).report(t, false)
					if claims["x-ms-policy-hash"] != p.hash {
						t.Errorf("policy hash %v, want %s", claims["x-ms-policy-hash"], p.hash)
					}
					sameIssued(t, issuedClaims(claims), want)
				})
			}
		}
	}
}

// issuedClaims are the claims of a report that the policy issued.
func issuedClaims(claims map[string]any) map[string]any {
	issued := maps.Clone(claims)
	for _, name := range []string{"nbf", "exp", "iat", "iss", "jti", "ver", "x-ms-ver", "ext-development", "rp_data", "nonce", "cnf", "x-ms-policy-hash", "x-ms-tpm-request-key"} {
		delete(issued, name)
	}
	return issued
}

// sameIssued compares claims with those of the vectors, where long texts stand as their length in bytes and SHA-256.
func sameIssued(t *testing.T, got, want map[string]any) {
	t.Helper()
	for name, value := range got {
		expected, ok := want[name]
		if long, isLong := expected.(map[string]any); isLong {
			value, expected = measure(value), long
		}
		if !ok || text(value) != text(expected) {
			t.Errorf("%s: got %.300s, want %.300s", name, text(value), text(expected))
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is not issued", name)
		}
	}
}

// measure describes a long text as the vectors do.
func measure(value any) map[string]any {
	s, _ := value.(string)
	sum := sha256.Sum256([]byte(s))
	return map[string]any{"length": len(s), "sha256": hex.EncodeToString(sum[:])}
}

// TestRealWindowsMachinesNeedSHA1: without the setting, and under strict with it, the refusal names it.
func TestRealWindowsMachinesNeedSHA1(t *testing.T) {
	logs := realLogs(t)
	strict := allowSHA1
	strict.Strict = true
	policy := tpmPolicy("", "=> permit();", "")
	for name, settings := range map[string]provider.Settings{"off": {}, "on, under strict": strict} {
		s := startTPM(t, config.Config{Settings: settings}, policy)
		for log := range realPolicies(t)[0].expected {
			for version, edit := range map[string]func(*assaytest.TPMScenario){"v1": version1, "v2": func(*assaytest.TPMScenario) {}} {
				if version == "v1" && settings.Strict {
					continue // refused before for its version
				}
				t.Run(name+" "+log+" "+version, func(t *testing.T) {
					s.attestTPM(t, sha1Machine(t, logs[log], edit)).refused(t, http.StatusBadRequest, "InvalidParameter", "", "sha1:", "tpm_allow_sha1")
				})
			}
		}
	}
}

// TestRealSHA1QuotesAreRefused: quotes that real TPMs signed with SHA-1, by keys that the test root vouches for. That their nonce is
// another one does not count any more.
func TestRealSHA1QuotesAreRefused(t *testing.T) {
	strict := allowSHA1
	strict.Strict = true
	met := 0
	for name, settings := range map[string]provider.Settings{"off": {}, "on": allowSHA1, "on, under strict": strict} {
		s := startTPM(t, config.Config{Settings: settings}, tpmPolicy("", "=> permit();", ""))
		for _, q := range realQuotes(t) {
			if q.EventLog == "" || q.Public == nil || !q.signedBySHA1() {
				continue
			}
			met++
			for version, edit := range map[string]func(*assaytest.TPMScenario){"v1": version1, "v2": func(*assaytest.TPMScenario) {}} {
				if version == "v1" && settings.Strict {
					continue // refused before for its version
				}
				t.Run(name+" "+q.ID+" "+version, func(t *testing.T) {
					sc := sha1Machine(t, realLog{"tpm/" + q.EventLog, q.PCRs["sha1"]}, edit, q.recorded(t))
					a := s.attestTPM(t, sc)
					a.refused(t, http.StatusBadRequest, "InvalidParameter", "", "sha1:", "signed with SHA-1, which is never accepted")
					if got := s.explained(t, a).check("aik-certificate"); got != "pass" {
						t.Errorf("aik-certificate: %q", got)
					}
				})
			}
		}
	}
	if met == 0 {
		vectortest.NoCase(t, "recorded quote that is signed with SHA-1, with its log")
	}
}

// signedBySHA1 reads the hash of the TPMT_SIGNATURE, which follows the algorithm.
func (q realQuote) signedBySHA1() bool {
	return len(q.Signature) > 4 && string(q.Signature[2:4]) == "\x00\x04"
}

// recorded has the machine send the quote that was recorded, and its key, with a certificate by the test root.
func (q realQuote) recorded(t testing.TB) func(*assaytest.TPMScenario) {
	t.Helper()
	public, err := tpm.ParsePublic(q.Public)
	if err != nil {
		t.Fatal(err)
	}
	return func(sc *assaytest.TPMScenario) {
		sc.Edit.Key = func(r assaytest.TPMRole, key crypto.PublicKey) crypto.PublicKey {
			if r == assaytest.AIK {
				return public.Key
			}
			return key
		}
		sc.Edit.Bytes = func(p assaytest.TPMPart, b []byte) []byte {
			switch p {
			case assaytest.TPMQuote:
				return q.Quote
			case assaytest.TPMQuoteSignature:
				return q.Signature
			case assaytest.AIK.Certificate():
				return certifyAgain(t, b, public.Key)
			}
			return b
		}
	}
}

// certifyAgain issues an AIK certificate of the well-known vendor for another key.
func certifyAgain(t testing.TB, der []byte, key crypto.PublicKey) []byte {
	t.Helper()
	vendor := tpmVendor()
	root, err := vendor.CertificatePEM(assaytest.AIKRoot)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(root)
	parent, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range c.Extensions {
		if x.Id.String() == "2.5.29.17" {
			c.ExtraExtensions = append(c.ExtraExtensions, x)
		}
	}
	again, err := x509.CreateCertificate(rand.Reader, c, parent, key, vendor.Key(assaytest.AIKRoot, assaytest.P256))
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// explained asks why a request of the TPM protocol was decided as it was.
func (s *testService) explained(t testing.TB, a answer) (e explanation) {
	t.Helper()
	id := strings.NewReplacer("/", "%2F", "+", "%2B").Replace(a.header.Get("x-ms-request-id"))
	got := s.do(t, http.MethodGet, "/assay/v1/explanations/"+id, "")
	if got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	decode(t, got.body, &e)
	return e
}
