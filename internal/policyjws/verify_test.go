package policyjws

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/b64"
)

func TestUnsignedIsNeverVerified(t *testing.T) {
	jws, err := UnsignedPolicy([]byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Parsed{mustParse(t, jws), mustParse(t, UnsignedReset()), new(Parsed)} {
		_, err := p.Verify()
		wantRefusal(t, err, Unsigned, "not signed")
	}
	_, err = new(Verified).Trust(nil)
	wantRefusal(t, err, Unsigned, "nothing was verified")
}

func TestEveryByteOfASignedPolicyCounts(t *testing.T) {
	signer := selfSigned(t, "signer", ecKey(t, elliptic.P256()))
	jws := signed(t, "ES256", signer)
	mustVerify(t, jws)
	header, rest, _ := strings.Cut(jws, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	other := b64.URL([]byte(payloadOf(minimal + " ")))
	spaced := b64.URL([]byte(`{"alg":"ES256", "x5c":` + x5c(signer) + `}`))
	raw, _ := b64.DecodeURL(signature)
	raw[40] ^= 1
	for name, altered := range map[string]string{
		"another payload":         header + "." + other + "." + signature,
		"a blank in the header":   spaced + "." + payload + "." + signature,
		"an empty payload":        header + ".." + signature,
		"a bit of the signature":  header + "." + payload + "." + b64.URL(raw),
		"a byte too much":         header + "." + payload + "." + b64.URL(append(raw, 0)),
		"the signature as a DER":  header + "." + payload + "." + b64.URL([]byte{0x30, 6, 2, 1, 1, 2, 1, 1}),
		"the signature of zeroes": header + "." + payload + "." + b64.URL(make([]byte, 64)),
	} {
		_, err := mustParse(t, altered).Verify()
		if err == nil {
			t.Errorf("%s: verifies", name)
			continue
		}
		wantRefusal(t, err, Signature, "does not verify")
	}
}

func TestCertificateOfAnotherKeyDoesNotVerify(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	signer, other := selfSigned(t, "signer", key), selfSigned(t, "signer", ecKey(t, elliptic.P256()))
	header := `{"alg":"ES256","x5c":` + x5c(other, signer) + `}`
	_, err := mustParse(t, signWith(t, header, payloadOf(minimal), "ES256", key)).Verify()
	wantRefusal(t, err, Signature, "does not verify")
}

func TestKeysThatDoNotFitTheAlgorithmAreRefused(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	for _, tt := range []struct {
		name, alg string
		key       crypto.Signer
		want      string
	}{
		{"Java with an EC key", "RS256", ecKey(t, elliptic.P256()), "the Java SDK writes RS256 for keys on curves, too: sign with an RSA key"},
		{"another curve", "ES256", ecKey(t, elliptic.P384()), "ES256 needs an ECDSA key on P-256, the key is ECDSA on P-384"},
		{"RSA key with an algorithm of curves", "ES256", rsaKey(t, 2048), "the key is RSA of 2048 bits"},
		{"RSA key with too few bits", "RS256", rsaKey(t, 1024), "RSA key of 1024 bits, at least 2048 are needed"},
		{"RSA key with too few bits for PSS", "PS256", rsaKey(t, 2047), "RSA key of 2047 bits"},
		{"Edwards curve", "RS256", ed, "ed25519"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := fmt.Sprintf(`{"alg":"%s","x5c":%s}`, tt.alg, x5c(selfSigned(t, "signer", tt.key)))
			_, err := mustParse(t, unsigned(header, payloadOf(minimal))+"AAAA").Verify()
			wantRefusal(t, err, Key, tt.want)
		})
	}
}

// TestTheSignatureIsLookedAtBeforeTheChain: an attacker who has no key is told nothing about certificates.
func TestTheSignatureIsLookedAtBeforeTheChain(t *testing.T) {
	bad := (*authority)(nil).issue(t, "signer", ecKey(t, elliptic.P256()), notCA)
	jws := signed(t, "ES256", bad)
	_, err := mustParse(t, jws).Verify()
	wantRefusal(t, err, Chain, "CA=true")
	_, err = mustParse(t, jws[:len(jws)-4]+"AAAA").Verify()
	wantRefusal(t, err, Signature, "")
}

// hierarchy is a root, a CA below it, and a signer below that.
type hierarchy struct {
	root, ca, leaf *authority
}

// changes says how the certificates of a hierarchy differ from sound ones.
type changes struct {
	rootKey        crypto.Signer
	root, ca, leaf func(*x509.Certificate)
}

func (c changes) make(t *testing.T) (h hierarchy) {
	t.Helper()
	if c.rootKey == nil {
		c.rootKey = ecKey(t, elliptic.P384())
	}
	h.root = (*authority)(nil).issue(t, "root", c.rootKey, c.root)
	h.ca = h.root.issue(t, "CA", ecKey(t, elliptic.P256()), c.ca)
	h.leaf = h.ca.issue(t, "signer", ecKey(t, elliptic.P256()), c.leaf)
	return h
}

func TestChainsThatLeadToACAAreAccepted(t *testing.T) {
	h := changes{leaf: notCA}.make(t)
	for name, chain := range map[string][]*authority{
		"up to the root":               {h.leaf, h.ca, h.root},
		"up to a CA":                   {h.leaf, h.ca},
		"a certificate from elsewhere": {h.leaf}, // whether its issuer is known is for Trust
		"a CA itself":                  {h.root},
	} {
		if _, err := mustParse(t, signed(t, "ES"+map[bool]string{true: "384", false: "256"}[chain[0] == h.root], chain...)).Verify(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChainsThatLeadNowhereAreRefused(t *testing.T) {
	pathLength := func(n int) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = n, n == 0 }
	}
	noCertSign := func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }
	noConstraints := func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	for _, tt := range []struct {
		name    string
		changes changes
		chain   func(h hierarchy) []*authority
		want    string
	}{
		{"self-signed and no CA", changes{root: notCA}, func(h hierarchy) []*authority { return []*authority{h.root} }, `Unable to find issuer certificate CN=root: the topmost certificate "CN=root" has no basic constraints with CA=true`},
		{"self-signed without basic constraints", changes{root: noConstraints}, func(h hierarchy) []*authority { return []*authority{h.root} }, "CA=true"},
		{"root is no CA", changes{root: notCA}, nil, `"CN=root" has no basic constraints with CA=true`},
		{"CA is none", changes{ca: notCA}, nil, `"CN=CA" has no basic constraints with CA=true`},
		{"CA must not sign certificates", changes{ca: noCertSign}, nil, `"CN=signer" by "CN=CA"`},
		{"CA stands too low", changes{root: pathLength(0)}, nil, `"CN=root" may stand above 0 CAs, here are 1`},
		{"CA with an unknown critical extension", changes{ca: critical}, nil, "unknown critical extension 1.2.3"},
		{"root with a weak key", changes{rootKey: rsaKey(t, 1024)}, nil, `"CN=root": RSA key of 1024 bits`},
		{"wrong order", changes{}, func(h hierarchy) []*authority { return []*authority{h.leaf, h.root, h.ca} }, `"CN=signer" was issued by "CN=CA", not by "CN=root"`},
		{"gap", changes{}, func(h hierarchy) []*authority { return []*authority{h.leaf, h.root} }, `Unable to find issuer certificate CN=CA`},
		{"something after the root", changes{}, func(h hierarchy) []*authority { return []*authority{h.leaf, h.ca, h.root, h.ca} }, `"CN=root" was issued by "CN=root", not by "CN=CA"`},
		{"CA of the same name", changes{}, func(h hierarchy) []*authority {
			return []*authority{h.leaf, changes{}.make(t).ca}
		}, `"CN=signer" by "CN=CA"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := tt.changes.make(t)
			chain := []*authority{h.leaf, h.ca, h.root}
			if tt.chain != nil {
				chain = tt.chain(h)
			}
			algorithm := "ES256"
			if chain[0] == h.root {
				algorithm = "ES384"
			}
			_, err := mustParse(t, signed(t, algorithm, chain...)).Verify()
			wantRefusal(t, err, Chain, tt.want)
		})
	}
}

func TestSignersAreKnownByTheirKeyOrByTheirCA(t *testing.T) {
	h := changes{leaf: notCA}.make(t)
	again := selfSigned(t, "the same key under another name", h.leaf.key)
	for name, tt := range map[string]struct {
		chain  []*authority
		signer *authority
	}{
		"the certificate itself":          {[]*authority{h.leaf}, h.leaf},
		"another certificate of the key":  {[]*authority{h.leaf}, again},
		"the CA, not sent along":          {[]*authority{h.leaf}, h.ca},
		"the CA, sent along":              {[]*authority{h.leaf, h.ca}, h.ca},
		"the root, not sent along":        {[]*authority{h.leaf, h.ca}, h.root},
		"the root, sent along":            {[]*authority{h.leaf, h.ca, h.root}, h.root},
		"the CA in the middle of a chain": {[]*authority{h.leaf, h.ca, h.root}, h.ca},
	} {
		v := mustVerify(t, signed(t, "ES256", tt.chain...))
		stranger := selfSigned(t, "stranger", ecKey(t, elliptic.P256()))
		trusted, err := v.Trust([]*x509.Certificate{stranger.cert, tt.signer.cert})
		if err != nil || !trusted.By().Equal(tt.signer.cert) {
			t.Errorf("%s: %v", name, err)
		} else if text, ok := trusted.Text(); !ok || string(text) != minimal {
			t.Errorf("%s: text %q", name, text)
		}
	}
}

func TestStrangersAreNotTrusted(t *testing.T) {
	h := changes{leaf: notCA}.make(t)
	impostor := selfSigned(t, "root", ecKey(t, elliptic.P256())) // the root's name, another key
	forged := impostor.issue(t, "signer", ecKey(t, elliptic.P256()), nil)
	// A certificate of the root's own key that makes a CA of it, where the root that is trusted is none.
	weak := (*authority)(nil).issue(t, "root", h.root.key, notCA)
	below := h.leaf.issue(t, "below", ecKey(t, elliptic.P256()), nil)
	short := (*authority)(nil).issue(t, "root", h.root.key, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	for name, tt := range map[string]struct {
		chain  []*authority
		signer *authority
		want   string
	}{
		"no signer at all":                        {[]*authority{h.leaf}, nil, "one of 0 signers"},
		"another signer":                          {[]*authority{h.leaf}, impostor, "not that of a trusted signer"},
		"a gap in the chain":                      {[]*authority{h.leaf}, h.root, `found "CN=signer", ` + Thumbprint(h.leaf.cert)},
		"a root of the name":                      {[]*authority{forged, impostor}, h.root, "verification failure"},
		"a root of the name, not sent along":      {[]*authority{forged}, h.root, "verification failure"},
		"a signer that is no CA, made one by x5c": {[]*authority{h.leaf, h.ca, h.root}, weak, "CA=true"},
		"certified by a signer that is no CA":     {[]*authority{below}, h.leaf, "CA=true"},
		"a CA below one that may have none":       {[]*authority{h.leaf, h.ca}, short, "may stand above 0 CAs"},
	} {
		t.Run(name, func(t *testing.T) {
			v := mustVerify(t, signed(t, "ES256", tt.chain...))
			var signers []*x509.Certificate
			if tt.signer != nil {
				signers = append(signers, tt.signer.cert)
			}
			_, err := v.Trust(signers)
			wantRefusal(t, err, Signer, tt.want)
		})
	}
}
