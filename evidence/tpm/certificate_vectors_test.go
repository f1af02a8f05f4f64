package tpm

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// certCase is a case of vectors/tpm/certs.
type certCase struct {
	ID, Purpose, Leaf, Expect, Code string
	Intermediates, Roots            []string
	At                              time.Time
	QuoteKey                        string `json:"quote_key"`
	Facts                           json.RawMessage
}

type certFacts struct {
	Serial    string
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SHA256    string
	Key       string
	KeyUsage  []string `json:"key_usage"`
	EKU       []string
	SAN       []map[string]string
	Critical  bool `json:"san_critical"`
	CA        bool
}

// words are what the problem says of the reason classes that have one check in common.
func words() map[string]string {
	return map[string]string{
		"NO_CHAIN": "does not lead to a trusted root", "PATHLEN": "does not lead to a trusted root",
		"EKU": "does not say that it is of one", "EXPIRED": "has expired", "NOT_YET_VALID": "is not yet valid",
		"CRITICAL_EXT": "has a critical extension that is not understood",
	}
}

func certCases(t testing.TB) []certCase {
	t.Helper()
	var cases []certCase
	vectortest.ReadJSON(t, "tpm/certs/index.json", &cases)
	return cases
}

func TestCertificatesHaveTheOutcomeOfTheIndex(t *testing.T) {
	for _, c := range certCases(t) {
		t.Run(c.ID, func(t *testing.T) {
			cert, err := c.verify(t, c.rootsOf(t))
			if (cert == nil) == (err == nil) {
				t.Fatalf("certificate %v with error %v", cert, err)
			}
			switch {
			case strings.HasPrefix(c.Expect, "accept"):
				if err != nil {
					t.Error(err)
				}
			case c.Code == "KEY_MISMATCH":
				c.isOfAnotherKey(t, cert, err)
			default:
				(&quoteCase{}).expectRefusal(t, err, c.Code)
				if !strings.Contains(err.Error(), words()[c.Code]) {
					t.Errorf("%s says %v", c.Code, err)
				}
			}
			c.compareFacts(t)
		})
	}
}

func (c *certCase) leaf(t testing.TB) []byte { return readDER(t, "tpm/certs/"+c.Leaf) }

// readDER reads a file that is DER or PEM.
func readDER(t testing.TB, rel string) []byte {
	t.Helper()
	b := vectortest.Read(t, rel)
	if block, _ := pem.Decode(b); block != nil {
		return block.Bytes
	}
	return b
}

func readCerts(t testing.TB, names []string) []*x509.Certificate {
	t.Helper()
	var all []*x509.Certificate
	for _, name := range names {
		c, err := x509.ParseCertificate(readDER(t, "tpm/certs/"+name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, c)
	}
	return all
}

// rootsOf are the roots of the case as an operator configures them: Google's CA writes no usage of its own for AIKs
// (tpm-evidence.md section 3), so its root excuses that; no other does.
func (c *certCase) rootsOf(t testing.TB) *Roots {
	t.Helper()
	var roots []Root
	for i, cert := range readCerts(t, c.Roots) {
		roots = append(roots, Root{cert, strings.HasPrefix(c.Roots[i], "gce/")})
	}
	return NewRoots(roots, readCerts(t, c.Intermediates))
}

func (c *certCase) verify(t testing.TB, r *Roots) (*x509.Certificate, error) {
	t.Helper()
	if c.Purpose == "ek" {
		return r.VerifyEK(c.leaf(t), c.At)
	}
	return r.VerifyAIK(c.leaf(t), c.At)
}

func (c *certCase) isOfAnotherKey(t *testing.T, cert *x509.Certificate, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(readDER(t, "tpm/certs/"+c.QuoteKey))
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := key.(*rsa.PrivateKey); !ok || sameKey(cert.PublicKey, &k.PublicKey) {
		t.Error("the certificate is of the key that signs the quote")
	}
}

// compareFacts compares what was parsed with what another parser found.
func (c *certCase) compareFacts(t *testing.T) {
	t.Helper()
	var f certFacts
	if json.Unmarshal(c.Facts, &f) != nil {
		return // of a padded one, which that parser refused
	}
	cert, err := ParseCertificate(c.leaf(t))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.Raw)
	got := []string{cert.SerialNumber.Text(16), cert.NotBefore.Format(time.RFC3339), cert.NotAfter.Format(time.RFC3339), hex.EncodeToString(sum[:]), fmt.Sprint(cert.IsCA)}
	want := []string{f.Serial, f.NotBefore.UTC().Format(time.RFC3339), f.NotAfter.UTC().Format(time.RFC3339), f.SHA256, fmt.Sprint(f.CA)}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if k, ok := cert.PublicKey.(*rsa.PublicKey); ok && f.Key != fmt.Sprintf("RSAPublicKey %d", k.N.BitLen()) {
		t.Errorf("key of %d bits, want %s", k.N.BitLen(), f.Key)
	}
	for _, usage := range f.KeyUsage {
		if bit := map[string]x509.KeyUsage{"digital_signature": x509.KeyUsageDigitalSignature, "key_encipherment": x509.KeyUsageKeyEncipherment}[usage]; cert.KeyUsage&bit == 0 {
			t.Errorf("key usage %s is not seen", usage)
		}
	}
	c.compareNames(t, cert, f)
}

func (c *certCase) compareNames(t *testing.T, cert *x509.Certificate, f certFacts) {
	t.Helper()
	var ekus []string
	for _, eku := range cert.UnknownExtKeyUsage {
		ekus = append(ekus, eku.String())
	}
	if !slices.Equal(ekus, f.EKU) {
		t.Errorf("EKUs %v, want %v", ekus, f.EKU)
	}
	if f.SAN == nil {
		return
	}
	if len(f.SAN) == 1 {
		san := f.SAN[0]
		if got, want := MakerOf(cert), (Maker{san["2.23.133.2.1"], san["2.23.133.2.2"], san["2.23.133.2.3"]}); got != want {
			t.Errorf("maker %q, want %q", got, want)
		}
	}
	names, err := directoryNames(cert)
	if err != nil || len(names) != len(f.SAN) {
		t.Fatalf("names %v (%v), want %v", names, err, f.SAN)
	}
	for i, name := range names {
		got := map[string]string{}
		for _, rdn := range name {
			for _, a := range rdn {
				got[a.Type.String()] = fmt.Sprint(a.Value)
			}
		}
		if !maps.Equal(got, f.SAN[i]) {
			t.Errorf("name %v, want %v", got, f.SAN[i])
		}
	}
}

func TestCertificatesWithoutUsageAreRefusedByDefault(t *testing.T) {
	seen := 0
	for _, c := range certCases(t) {
		var f certFacts
		if json.Unmarshal(c.Facts, &f) != nil || len(f.EKU) > 0 {
			continue
		}
		seen++
		var roots []Root
		for _, cert := range readCerts(t, c.Roots) {
			roots = append(roots, Root{Certificate: cert})
		}
		_, err := c.verify(t, NewRoots(roots, readCerts(t, c.Intermediates)))
		if expect(t, err, evidence.AIKCertificate, evidence.EKCertificate); !strings.Contains(err.Error(), words()["EKU"]) {
			t.Errorf("%s: %v", c.ID, err)
		}
	}
	if seen == 0 {
		vectortest.NoCase(t, "certificate without extended key usage")
	}
}

func TestZeroRootsTrustNothing(t *testing.T) {
	for _, c := range certCases(t) {
		for _, roots := range []*Roots{nil, {}, NewRoots(nil, nil), NewRoots(nil, readCerts(t, c.Roots))} {
			_, err := c.verify(t, roots)
			expect(t, err, evidence.AIKCertificate, evidence.EKCertificate, evidence.AIKKey)
		}
	}
}

func TestTrustedCAsAreNoAIKsThemselves(t *testing.T) {
	for _, c := range certCases(t) {
		for _, ca := range readCerts(t, slices.Concat(c.Roots, c.Intermediates)) {
			if !ca.IsCA {
				continue // of the attack by an end entity
			}
			roots := NewRoots([]Root{{ca, true}}, nil)
			_, err := roots.VerifyAIK(ca.Raw, c.At)
			if expect(t, err, evidence.AIKCertificate); !strings.Contains(err.Error(), "is one of a CA") {
				t.Errorf("%s: %v", ca.Subject, err)
			}
		}
	}
}
