package measured_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"
)

// certificateOf makes a certificate with a subject.
func certificateOf(t *testing.T, subject pkix.RDNSequence) string {
	t.Helper()
	raw, err := asn1.Marshal(subject)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: raw}
	der, err := x509.CreateCertificate(rand.Reader, c, &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(der)
}

// names gives a relative name of each text.
func names(texts ...string) (set pkix.RelativeDistinguishedNameSET) {
	for _, text := range texts {
		set = append(set, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: text})
	}
	return set
}

// RFC 4514: the last relative name first, a comma between them, a plus between the parts of one.
func TestSubjectsOfCertificatesAreWrittenByRFC4514(t *testing.T) {
	got := built(t, measurement{10, ".ima", certificateOf(t, pkix.RDNSequence{names("root, Inc"), names("b", "c"), names("last")}), "", false})
	if want := `{"Keyring":".ima","CertificateSubject":"CN=last,CN=b+CN=c,CN=root\\, Inc"}`; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := built(t, measurement{10, ".ima", certificateOf(t, nil), "", false}); !strings.Contains(got, `"CertificateSubject":""}`) {
		t.Errorf("got %s", got)
	}
}

func TestALongSubjectCostsNoMoreThanItsLength(t *testing.T) {
	const parts = 30_000
	texts := strings.Split(strings.Repeat("x", parts), "")
	apart := pkix.RDNSequence{}
	for _, text := range texts {
		apart = append(apart, names(text))
	}
	for name, subject := range map[string]pkix.RDNSequence{"names": apart, "parts of one name": {names(texts...)}} {
		der := certificateOf(t, subject)
		start := time.Now()
		got := built(t, measurement{10, ".ima", der, "", false})
		if n := strings.Count(got, "CN=x"); n != parts {
			t.Errorf("%s: got %d", name, n)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
}
