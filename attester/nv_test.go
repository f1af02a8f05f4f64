package attester_test

import (
	"bytes"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/internal/swtpmtest"
)

func opened(t *testing.T, s *swtpmtest.TPM) *attester.TPM {
	t.Helper()
	c, err := attester.OpenSocket(s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestTheCertificatesInATPMAreReadAndTheirPaddingIsNot(t *testing.T) {
	s := swtpmtest.Start(t)
	if cert, chain, err := opened(t, s).EKCertificate(); cert != nil || chain != nil || err != nil {
		t.Errorf("of a TPM without: %v, %v, %v", cert, chain, err)
	}
	one, two, three := swtpmtest.NewCA(t).Certificate, swtpmtest.NewCA(t).Certificate, swtpmtest.NewCA(t).Certificate
	c := s.Open(t)
	swtpmtest.Store(t, c, swtpmtest.EKCertificateRSA, append(bytes.Clone(one.Raw), make([]byte, 700)...))
	swtpmtest.Store(t, c, swtpmtest.EKChain, append(bytes.Clone(two.Raw), three.Raw[:100]...)) // a certificate may go on in the next index
	swtpmtest.Store(t, c, swtpmtest.EKChain+1, append(bytes.Clone(three.Raw[100:]), make([]byte, 50)...))
	cert, chain, err := opened(t, s).EKCertificate()
	if err != nil || !cert.Equal(one) || len(chain) != 2 || !chain[0].Equal(two) || !chain[1].Equal(three) {
		t.Errorf("%v, %d above it, %v", cert, len(chain), err)
	}
}

func TestCertificatesInATPMThatCannotBeReadAreNamed(t *testing.T) {
	ca := swtpmtest.NewCA(t).Certificate
	tiny := []byte{0x30, 0} // counts before anything is made of it
	nine := bytes.Repeat(tiny, 9)
	for name, test := range map[string]struct{ ek, chain []byte }{
		"no DER":           {[]byte("text"), nil},
		"padded with ones": {append(bytes.Clone(ca.Raw), 1), nil},
		"a chain of text":  {ca.Raw, []byte("text")},
		"nine above it":    {ca.Raw, nine},
	} {
		t.Run(name, func(t *testing.T) {
			s := swtpmtest.Start(t)
			c := s.Open(t)
			swtpmtest.Store(t, c, swtpmtest.EKCertificateRSA, test.ek)
			if test.chain != nil {
				swtpmtest.Store(t, c, swtpmtest.EKChain, test.chain)
			}
			_, _, err := opened(t, s).EKCertificate()
			wantProblem(t, err, "cannot be read", "maker")
		})
	}
}

func TestTheCertificateOfAnotherEndorsementKeyIsNotSent(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	swtpmtest.Store(t, s.Open(t), swtpmtest.EKCertificateRSA, swtpmtest.NewCA(t).Certificate.Raw)
	_, err := m.Enroll(t.Context(), newEnroller(t).post)
	wantProblem(t, err, "of another endorsement key", "pin the key")
}

// TestAnIndexIsReadByWhomeverItLets: Azure's are for the owner, whose password is empty; one that was never written has nothing.
func TestAnIndexIsReadByWhomeverItLets(t *testing.T) {
	const index = 0x01400001
	content := bytes.Repeat([]byte("0123456789abcdef"), 100)
	for name, test := range map[string]struct {
		attributes tpm2.TPMANV
		written    bool
		cause      string
	}{
		"anybody":       {tpm2.TPMANV{OwnerWrite: true, AuthRead: true}, true, ""},
		"the owner":     {tpm2.TPMANV{OwnerWrite: true, OwnerRead: true}, true, ""},
		"by a policy":   {tpm2.TPMANV{OwnerWrite: true, PolicyRead: true}, true, "reading index 01400001"},
		"never written": {tpm2.TPMANV{OwnerWrite: true, AuthRead: true}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := swtpmtest.Start(t)
			c := s.Open(t)
			swtpmtest.Define(t, c, index, len(content), test.attributes)
			if test.written {
				swtpmtest.Write(t, c, index, content)
			}
			got, err := opened(t, s).ReadIndex(index)
			switch {
			case test.cause != "":
				wantProblem(t, err, test.cause, "")
			case err != nil || test.written != bytes.Equal(got, content) || !test.written && got != nil:
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}
