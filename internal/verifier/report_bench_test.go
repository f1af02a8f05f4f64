package verifier

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/benchtest"
	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/policy"
)

// BenchmarkReport measures how a machine is judged by its TPM, and beside it the primitives that nobody can do without. The log is a
// real one of 111 events; the policy is the published one that finds in it whether secure boot is on. The metric x/bare is the ratio
// of the two, measured by turns. The request is measured from its JWS to the permit: the way through the service adds TLS and the
// report, which are measured elsewhere.
func BenchmarkReport(b *testing.B) {
	m := newMachine(b, vectortest.Read(b, "tpm/eventlogs/ubuntu-2104-no-dbx.bin"), "tpm-v12-secureboot.txt")
	for _, bm := range []struct {
		name       string
		judge      func() error
		primitives func() bool
	}{
		{"quote and log", m.judgeLog, m.bareQuote},
		{"quote, log and policy", m.judgeQuote, m.bareQuote},
		{"request", m.judgeRequest, m.bareRequest},
	} {
		if err := bm.judge(); err != nil || !bm.primitives() {
			b.Fatalf("%s: %v", bm.name, err)
		}
		b.Run(bm.name+"/judge", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = bm.judge()
			}
			b.ReportMetric(benchtest.Ratio(401, func() { _ = bm.judge() }, func() { bm.primitives() }), "x/bare")
		})
		b.Run(bm.name+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bm.primitives()
			}
		})
	}
}

// bootChallenge is what the machine answers.
const bootChallenge = "0123456789abcdef"

// machine is a machine with a simulated TPM whose quote covers a real log.
type machine struct {
	verifier *Verifier
	policy   *policy.Policy
	log      []byte
	bank     tpm.Bank
	parts    map[assaytest.TPMPart][]byte
	jws      string
	signed   int // bytes of jws that are signed
	now      time.Time

	aik, requestKey *rsa.PublicKey
	root            *x509.Certificate
	certificate     *x509.Certificate
	jwsSignature    []byte
}

func newMachine(t testing.TB, log []byte, policyFile string) *machine {
	t.Helper()
	vendor := assaytest.WellKnownTPMVendor()
	m := &machine{log: log, parts: map[assaytest.TPMPart][]byte{}, now: time.Date(2030, 6, 15, 0, 0, 0, 0, time.UTC)}
	m.aik = vendor.Key(assaytest.AIK, assaytest.RSA2048).Public().(*rsa.PublicKey)
	m.requestKey = vendor.Key(assaytest.RequestKey, assaytest.RSA2048).Public().(*rsa.PublicKey)
	m.attest(t, vendor)
	text, err := vendor.CertificatePEM(assaytest.AIKRoot)
	must(t, err)
	block, _ := pem.Decode(text)
	m.root, err = x509.ParseCertificate(block.Bytes)
	must(t, err)
	m.certificate, err = x509.ParseCertificate(m.parts[assaytest.AIK.Certificate()])
	must(t, err)
	m.policy, err = policy.Parse(vectortest.Read(t, "policies/"+policyFile))
	must(t, err)
	seats := NewSeats(0)
	m.verifier = New(Config{
		Baseline: Baseline{TPM: TPMDemands{AllowSHA1: true}}, Policies: map[evidence.Type]Policy{evidence.Tpm: {Policy: m.policy}},
		Seats: seats, Share: seats.NewShare(),
		TPM: TPM{
			Challenge: func(string, string, time.Time) ([]byte, error) { return []byte(bootChallenge), nil },
			Roots:     tpm.NewRoots([]tpm.Root{{Certificate: m.root}}, nil), Limits: attreq.DefaultLimits(), Validity: time.Hour, Longest: time.Hour,
		},
	})
	return m
}

// attest has the TPM quote what the log leads to.
func (m *machine) attest(t testing.TB, vendor *assaytest.TPMVendor) {
	t.Helper()
	l, err := eventlog.Parse(m.log, eventlog.DefaultLimits())
	must(t, err)
	alg, bank := tpm.SHA256, crypto.SHA256
	if l.Legacy() {
		alg, bank = tpm.SHA1, crypto.SHA1
	}
	replayed, err := eventlog.Replay(alg, false, l)
	must(t, err)
	s := vendor.Scenario()
	s.Current.Raw = []assaytest.TPMLogFile{{Type: "TCG", Bytes: m.log}}
	s.Current.Values = map[crypto.Hash]assaytest.TPMValues{bank: replayed.Values}
	s.Current.Quoted = []assaytest.TPMSelection{{Bank: bank, PCRs: assaytest.AllPCRs()}}
	s.Edit.Bytes = func(p assaytest.TPMPart, b []byte) []byte {
		m.parts[p] = b
		return b
	}
	m.jws, err = s.Request([]byte(bootChallenge), "context")
	must(t, err)
	m.signed = strings.LastIndexByte(m.jws, '.')
	m.jwsSignature, err = b64.DecodeURL(m.jws[m.signed+1:])
	must(t, err)
	m.bank = *replayed
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// judgeRequest goes all the way from the request to the permit.
func (m *machine) judgeRequest() error {
	_, err := m.verifier.AppraiseReport(context.Background(), ReportRequest{JWS: m.jws, Now: m.now, At: m.now})
	return err
}

// judgeLog goes from the bytes of quote and log to the claims.
func (m *machine) judgeLog() error {
	_, err := m.claims()
	return err
}

// judgeQuote goes on to what the policy says.
func (m *machine) judgeQuote() error {
	claims, err := m.claims()
	if err == nil {
		_, err = m.policy.Evaluate(claims, policy.Budget{})
	}
	return err
}

func (m *machine) claims() ([]policy.Claim, error) {
	a, err := tpm.ParseAttest(m.parts[assaytest.TPMQuote], m.parts[assaytest.TPMQuoteSignature])
	if err != nil {
		return nil, err
	}
	jwk := append(slices.Clone(m.parts[assaytest.TPMRequestJWK]), "\x00"+bootChallenge...)
	q, err := a.VerifyQuote(tpm.QuoteInput{Key: m.aik, ExtraData: tpm.SHA256.Sum(jwk), PCRs: []tpm.Bank{m.bank}, AllowSHA1: true})
	if err != nil {
		return nil, err
	}
	limits := attreq.DefaultLimits()
	l, err := eventlog.Parse(m.log, limits.Log)
	if err != nil {
		return nil, err
	}
	boot, err := measured.Verify([]measured.Log{{TCG: l}}, q, measured.Options{Depth: limits.Depth, Limits: limits.Log})
	if err != nil {
		return nil, err
	}
	events, err := boot.Events(measured.EventsOptions{})
	if err != nil {
		return nil, err
	}
	service := func(name string, v policy.Value) policy.Claim {
		return policy.Claim{Type: name, Value: v, Issuer: policy.AttestationService}
	}
	return []policy.Claim{
		service("secureBootEnabled", policy.BooleanValue(boot.Facts().SecureBootEnabled)),
		service("events", policy.StringValue(string(events))),
		service("pcrs", policy.StringValue(string(measured.PCRs(q, false)))),
	}, nil
}

// bareQuote verifies the signature of the quote, and hashes the log once.
func (m *machine) bareQuote() bool {
	const header = 6 // scheme, hash and size of a TPMT_SIGNATURE
	sha256.Sum256(m.log)
	digest := sha256.Sum256(m.parts[assaytest.TPMQuote])
	return rsa.VerifyPKCS1v15(m.aik, crypto.SHA256, digest[:], m.parts[assaytest.TPMQuoteSignature][header:]) == nil
}

// bareRequest verifies the signatures of the request and of the AIK certificate, too.
func (m *machine) bareRequest() bool {
	digest, certified := sha256.Sum256([]byte(m.jws[:m.signed])), sha256.Sum256(m.certificate.RawTBSCertificate)
	return m.bareQuote() && rsa.VerifyPSS(m.requestKey, crypto.SHA256, digest[:], m.jwsSignature, nil) == nil &&
		ecdsa.VerifyASN1(m.root.PublicKey.(*ecdsa.PublicKey), certified[:], m.certificate.Signature)
}

// repeated is a log in the SHA-1 form of the records of a real one, those of PCR 11 to 14 but their separators, again and again up to a size or little more.
func repeated(t testing.TB, raw []byte, size int) []byte {
	t.Helper()
	l, err := eventlog.Parse(raw, eventlog.DefaultLimits())
	must(t, err)
	var out []byte
	for len(out) < size {
		for _, r := range l.Records() {
			if r.PCR < 11 || r.PCR > 14 || r.Type == eventlog.Separator || len(out) >= size {
				continue
			}
			d, _ := r.Digest(tpm.SHA1)
			out = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(out, r.PCR), uint32(r.Type))
			out = append(binary.LittleEndian.AppendUint32(append(out, d...), uint32(len(r.Data))), r.Data...)
		}
	}
	return out
}

// allocated tells the bytes that f allocates.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// A log of half a megabyte costs no more than a few times what is sent: for the claims, for a policy that queries them, and for the whole
// request, in which the log stands in base64 twice.
func TestALargeLogCostsLittleMemoryUpToThePermit(t *testing.T) {
	const size, most = 512 << 10, 16 << 20
	for _, file := range []string{"tpm/windows/windows_gcp_shielded_vm.wbcl", "tpm/eventlogs/goattest-option-rom-windows-sha1.bin"} {
		m := newMachine(t, repeated(t, vectortest.Read(t, file), size), "tpm-v12-safemode-winpe.txt")
		for _, judged := range []struct {
			name string
			by   func() error
		}{{"claims", m.judgeLog}, {"claims and policy", m.judgeQuote}, {"request", m.judgeRequest}} {
			var err error
			used := allocated(func() { err = judged.by() })
			must(t, err)
			t.Logf("%s, %d KiB, %s: %d KiB allocated", file, len(m.log)>>10, judged.name, used>>10)
			if used > most {
				t.Errorf("%s, %s: got %d bytes, want at most %d", file, judged.name, used, most)
			}
		}
	}
}
