package issuer

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
)

// authority is the CA of a provider.
func authority(t testing.TB, provider string) *Authority {
	t.Helper()
	a, err := NewAuthority(func(label string) []byte {
		digest := sha256.Sum256([]byte(provider + " " + label))
		return digest[:]
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func withReports(t testing.TB, provider string, keys ...Key) *Keys {
	t.Helper()
	k, err := New(Config{Issuer: testIssuer, Reports: authority(t, provider)}, keys)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// set is /certs as a client reads it.
func set(t testing.TB, k *Keys, at time.Time) (kids []string, chains [][]*x509.Certificate) {
	t.Helper()
	var set struct {
		Keys []struct {
			Kid, Kty string
			X5c      [][]byte
		}
	}
	if err := json.Unmarshal(k.Certs(at), &set); err != nil {
		t.Fatal(err)
	}
	for _, entry := range set.Keys {
		var chain []*x509.Certificate
		for _, der := range entry.X5c {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			chain = append(chain, cert)
		}
		if entry.Kty != "RSA" {
			t.Errorf("entry %s has kty %q", entry.Kid, entry.Kty)
		}
		kids, chains = append(kids, entry.Kid), append(chains, chain)
	}
	return kids, chains
}

// body is what a verifier permits, with the claims of tokens.md section 13.5.
func body() reportBody {
	key := jsontext.Value(`{"jwk":{"kty":"RSA","n":"AQ","e":"AQAB"}}`)
	return reportBody{validity: 24 * time.Hour, claims: []evidence.Claim{
		{Name: "rp_data", Value: "AQIDBA"}, {Name: "nonce", Value: "AQIDBA"}, {Name: "cnf", Value: key}, {Name: "x-ms-policy-hash", Value: "Gi"},
		{Name: "x-ms-tpm-request-key", Value: key}, {Name: "secureBootEnabled", Value: true}, {Name: "bootCount", Value: int64(7)},
	}}
}

func mint(t testing.TB, k *Keys, b reportBody, at time.Time) string {
	t.Helper()
	token, err := k.report(b, at)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// parts are header and payload of a token.
func parts(t testing.TB, token string) (header, payload string) {
	t.Helper()
	p := strings.Split(token, ".")
	h, err := base64.RawURLEncoding.DecodeString(p[0])
	if err != nil {
		t.Fatal(err)
	}
	b, err := base64.RawURLEncoding.DecodeString(p[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(h), string(b)
}

// TestReportsAreWrittenAsPublished: tokens.md section 13.5, with the times of section 4.
func TestReportsAreWrittenAsPublished(t *testing.T) {
	k := withReports(t, "alpha", generate(t, start))
	_, payload := parts(t, mint(t, k, body(), time.Unix(1900000000, 999)))
	want := regexp.MustCompile(`^\{"nbf":1899999700,"exp":1900086400,"iat":1900000000,"iss":"` + testIssuer + `","jti":"[0-9a-f]{40}",` +
		`"ver":"1.0","x-ms-ver":"1.0","rp_data":"AQIDBA","nonce":"AQIDBA","cnf":\{"jwk":\{"kty":"RSA","n":"AQ","e":"AQAB"\}\},"x-ms-policy-hash":"Gi",` +
		`"x-ms-tpm-request-key":\{"jwk":\{"kty":"RSA","n":"AQ","e":"AQAB"\}\},"secureBootEnabled":true,"bootCount":7\}$`)
	if !want.MatchString(payload) {
		t.Errorf("payload %s", payload)
	}
	if _, again := parts(t, mint(t, k, body(), time.Unix(1900000000, 999))); again == payload {
		t.Error("two reports have the same jti")
	}
}

// TestTheHeaderHasTheChainOrItsThumbprint: tokens.md section 2.
func TestTheHeaderHasTheChainOrItsThumbprint(t *testing.T) {
	k := withReports(t, "alpha", generate(t, start))
	kids, chains := set(t, k, start)
	digest := sha1.Sum(chains[1][0].Raw)
	kid := base64.RawURLEncoding.EncodeToString(digest[:])
	if len(kid) != 27 || kids[1] != kid {
		t.Errorf("/certs has the kid %q, want %q", kids[1], kid)
	}
	var chain []string
	for _, cert := range chains[1] {
		chain = append(chain, `"`+base64.StdEncoding.EncodeToString(cert.Raw)+`"`)
	}
	b := body()
	for omit, want := range map[bool]string{
		false: `{"typ":"JWT","alg":"RS256","x5c":[` + strings.Join(chain, ",") + `],"kid":"` + kid + `"}`,
		true:  `{"typ":"JWT","alg":"RS256","x5t":"` + kid + `","kid":"` + kid + `"}`,
	} {
		b.omitChain = omit
		if header, _ := parts(t, mint(t, k, b, start)); header != want {
			t.Errorf("omit %v: header %s, want %s", omit, header, want)
		}
	}
}

func TestEveryKeyIsListedASecondTimeWithItsChain(t *testing.T) {
	old, next := generate(t, start), generate(t, start.AddDate(0, 0, 1))
	k := withReports(t, "alpha", old, next)
	for at, order := range map[time.Time][]Key{start: {old, next}, start.AddDate(0, 0, 1): {next, old}} {
		kids, chains := set(t, k, at)
		if len(kids) != 4 || kids[0] != order[0].ID || kids[1] != order[1].ID {
			t.Fatalf("kids %v, want the instance certificates first", kids)
		}
		for i, key := range order {
			leaf := chains[2+i]
			if len(leaf) != 3 || !key.Private.PublicKey.Equal(leaf[0].PublicKey) {
				t.Errorf("entry %d: %d certificates, want three for the key %s", 2+i, len(leaf), key.ID)
			}
		}
		for i, p := range k.Published() {
			if want := kids[2+slices.Index(kids[:2], p.KeyID)]; p.ReportKeyID != want {
				t.Errorf("key %d is published with the kid %q in reports, want %q", i, p.ReportKeyID, want)
			}
		}
		header, _ := parts(t, mint(t, k, body(), at))
		if !strings.HasSuffix(header, `"kid":"`+kids[2]+`"}`) {
			t.Errorf("the report's key is not the one in use, %s: %s", kids[2], header)
		}
	}
}

func TestReportChainIsThatOfACA(t *testing.T) {
	k := withReports(t, "alpha", generate(t, start), generate(t, start.AddDate(0, 0, 1)))
	_, chains := set(t, k, start)
	leaf, issuing, root := chains[2][0], chains[2][1], chains[2][2]
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	between.AddCert(issuing)
	for _, at := range []time.Time{start, time.Date(2050, 12, 31, 0, 0, 0, 0, time.UTC)} {
		verified, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err != nil || len(verified[0]) != 3 {
			t.Errorf("at %s: %v", at, err)
		}
	}
	if leaf.Subject.String() != "CN="+testIssuer || bytes.Equal(leaf.RawIssuer, leaf.RawSubject) || len(leaf.Subject.Names) != 1 {
		t.Errorf("subject %s, issuer %s", leaf.Subject, leaf.Issuer)
	}
	if leaf.IsCA || !leaf.BasicConstraintsValid || leaf.KeyUsage != x509.KeyUsageDigitalSignature || len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) != 0 {
		t.Errorf("leaf: CA %v, key usage %x, extended %v", leaf.IsCA, leaf.KeyUsage, leaf.UnknownExtKeyUsage)
	}
	for i, ca := range []*x509.Certificate{issuing, root} {
		if !ca.IsCA || ca.MaxPathLen != i || ca.KeyUsage != x509.KeyUsageCertSign || !strings.HasSuffix(ca.Subject.CommonName, " of "+testIssuer) {
			t.Errorf("%s: CA %v, path %d, key usage %x", ca.Subject, ca.IsCA, ca.MaxPathLen, ca.KeyUsage)
		}
	}
	if issuing.SerialNumber.Cmp(root.SerialNumber) == 0 {
		t.Errorf("the root has issued two certificates with the serial number %v", root.SerialNumber)
	}
	if other := chains[3][0]; other.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
		t.Error("two certificates of one CA have the same serial number")
	}
}

func TestTheSameSecretsMakeTheSameCertificates(t *testing.T) {
	key := generate(t, start)
	first := withReports(t, "alpha", key).Certs(start)
	if again := withReports(t, "alpha", key).Certs(start); !bytes.Equal(first, again) {
		t.Errorf("after a restart /certs is\n%s\nbefore it was\n%s", again, first)
	}
	kids, chains := set(t, withReports(t, "alpha", key), start)
	otherKids, otherChains := set(t, withReports(t, "beta", key), start)
	if kids[1] == otherKids[1] || bytes.Equal(chains[1][2].RawSubjectPublicKeyInfo, otherChains[1][2].RawSubjectPublicKeyInfo) {
		t.Error("two providers have the same CA")
	}
	if bytes.Equal(chains[1][1].RawSubjectPublicKeyInfo, chains[1][2].RawSubjectPublicKeyInfo) {
		t.Error("root and issuing CA have the same key")
	}
}

func TestAuthorityNeedsUsableSecrets(t *testing.T) {
	order := bytes.Repeat([]byte{0xff}, 32) // larger than the order of P-256
	if _, err := NewAuthority(func(string) []byte { return order }); err == nil {
		t.Error("made of no key")
	}
	asked := 0
	_, err := NewAuthority(func(label string) []byte {
		if asked++; asked%2 == 1 {
			return order
		}
		digest := sha256.Sum256([]byte(label))
		return digest[:]
	})
	if err != nil || asked != 4 {
		t.Errorf("asked %d times, %v, want another secret for each that is no key", asked, err)
	}
}

func TestReportsThatCannotBeAreRefused(t *testing.T) {
	k := withReports(t, "alpha", generate(t, start))
	const year = 365 * 24 * time.Hour
	with := func(change func(*reportBody)) reportBody {
		b := body()
		change(&b)
		return b
	}
	claim := func(name string, value any) reportBody {
		return with(func(b *reportBody) { b.claims = append(b.claims, evidence.Claim{Name: name, Value: value}) })
	}
	validity := func(d time.Duration) reportBody { return with(func(b *reportBody) { b.validity = d }) }
	tests := map[string]struct {
		body reportBody
		want string
	}{
		"sound": {body(), ""}, "a year": {validity(year), ""}, "more than a year": {validity(year + 1), "a validity"},
		"a second": {validity(time.Second), ""}, "less": {validity(time.Second - 1), "a validity"}, "no validity": {validity(0), "a validity"},
		"twice a claim": {claim("nonce", "x"), "duplicate"}, "no JSON": {claim("x", jsontext.Value("{")), "claims of a report"},
		"32 deep":     {claim("x", jsontext.Value(strings.Repeat("[", 31)+strings.Repeat("]", 31))), ""},
		"33 deep":     {claim("x", jsontext.Value(strings.Repeat("[", 32)+strings.Repeat("]", 32))), "too large"},
		"a large one": {claim("events", strings.Repeat("x", 20<<20)), ""},
		"too large":   {claim("events", strings.Repeat("x", 24<<20)), "too large"},
	}
	for _, name := range []string{"nbf", "exp", "iat", "iss", "jti", "ver", "x-ms-ver", "ext-development"} {
		tests[name] = struct {
			body reportBody
			want string
		}{claim(name, "1.0"), "not the verifier's to give"}
	}
	for name, tt := range tests {
		token, err := k.report(tt.body, start)
		if (err == nil) != (tt.want == "") || err != nil && (token != "" || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %.20q, %v, want an error with %q", name, token, err, tt.want)
		}
	}
	if _, err := open(t).report(body(), start); !errors.Is(err, errNoAuthority) {
		t.Errorf("without an authority: %v", err)
	}
}

func TestNoReportLeavesThatARelyingPartyWouldRefuse(t *testing.T) {
	k := withReports(t, "alpha", generate(t, start))
	k.keys[0].reports.Key = generate(t, start).Private // as if memory or a module had failed
	token, err := k.report(body(), start)
	if r, ok := errors.AsType[*result.Refusal](err); token != "" || !ok || r.Reason != result.Signature {
		t.Errorf("got %q, %v, want no token and the refusal", token, err)
	}
}

func TestDevelopmentMarksReports(t *testing.T) {
	k, err := New(Config{Issuer: testIssuer, Development: true, Reports: authority(t, "alpha")}, []Key{generate(t, start)})
	if err != nil {
		t.Fatal(err)
	}
	if _, payload := parts(t, mint(t, k, body(), start)); !strings.Contains(payload, `"x-ms-ver":"1.0","ext-development":true,"rp_data"`) {
		t.Errorf("payload %s has no mark", payload)
	}
}

// TestRelyingPartiesVerifyReports: against the key set of the provider, for as long as the report lives, and no other.
func TestRelyingPartiesVerifyReports(t *testing.T) {
	key := generate(t, start)
	k, beside := withReports(t, "alpha", key), withReports(t, "beta", generate(t, start))
	stranger, err := New(Config{Issuer: "https://other.example", Reports: authority(t, "gamma")}, []Key{generate(t, start)})
	if err != nil {
		t.Fatal(err)
	}
	b := body()
	full := mint(t, k, b, start)
	b.omitChain = true
	short := mint(t, k, b, start)
	for name, tt := range map[string]struct {
		keys   *Keys
		issuer string
		token  string
		at     time.Time
		want   result.Reason
	}{
		"at once":                               {k, testIssuer, full, start, ""},
		"without chain":                         {k, testIssuer, short, start, ""},
		"by a clock that is behind":             {k, testIssuer, full, start.Add(-5 * time.Minute), ""},
		"by a clock that is further behind":     {k, testIssuer, full, start.Add(-5*time.Minute - 1), result.NotYetValid},
		"last moment":                           {k, testIssuer, full, start.Add(24*time.Hour - 1), ""},
		"expired":                               {k, testIssuer, full, start.Add(24 * time.Hour), result.Expired},
		"keys of another provider":              {beside, testIssuer, full, start, result.UnknownKey},
		"same, without chain":                   {beside, testIssuer, short, start, result.UnknownKey},
		"another issuer, who signed":            {stranger, testIssuer, mint(t, stranger, body(), start), start, result.Issuer},
		"signed by the key, under a foreign CA": {withReports(t, "beta", key), testIssuer, full, start, result.UnknownKey},
	} {
		v, err := relyingparty.New(relyingparty.Config{Issuer: tt.issuer, Keys: tt.keys.KeySet(), Clock: func() time.Time { return tt.at }})
		if err != nil {
			t.Fatal(err)
		}
		token, err := v.Verify(context.Background(), tt.token)
		r, _ := errors.AsType[*result.Refusal](err)
		if (err == nil) != (tt.want == "") || err != nil && r.Reason != tt.want {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if err == nil {
			if nonce, _ := token.String("nonce"); nonce != "AQIDBA" {
				t.Errorf("%s: nonce %q", name, nonce)
			}
		}
	}
}

// TestAsManyKeysAsCanBeFitIntoAKeySet: the most keys a provider can have, each listed twice.
func TestAsManyKeysAsCanBeFitIntoAKeySet(t *testing.T) {
	k := withReports(t, "alpha", generate(t, start))
	one := len(k.Certs(start)) - len(`{"keys":[]}`)
	if 2*MaxKeys > result.MaxKeys || (one+1)*MaxKeys > result.MaxKeySetSize/2 {
		t.Errorf("%d keys of %d bytes, a relying party reads %d and %d bytes", 2*MaxKeys, one, result.MaxKeys, result.MaxKeySetSize)
	}
	if kids := k.KeySet().IDs(); len(kids) != 2 || !slices.Contains(kids, k.KeyID(start)) {
		t.Errorf("usable keys %v, want two", kids)
	}
}
