package result

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxLeeway is the most that clocks may be allowed to differ (README.md section 7, clock_skew).
const MaxLeeway = 5 * time.Minute

// Expect says what a token must be to be relied on. Issuer and At are always needed; everything else left zero is the
// strict choice.
type Expect struct {
	Issuer string    // iss must equal this text; without a trailing slash
	At     time.Time // nbf <= At < exp
	Leeway time.Duration

	// AllowDevelopment accepts tokens that carry the mark of development mode (native.md section 2).
	AllowDevelopment bool

	// SharedKeys accepts a key whose instance certificate names another issuer than the token: for key sets that the
	// caller pinned, since the instances of one region may share a key (tokens.md section 3.1). In an issuer's own
	// key set the certificate of an instance key must name the issuer (tokens.md section 3.3, step 2).
	SharedKeys bool
}

// Verify checks a token against the keys of its issuer and returns its claims. A refused token gives a *Refusal with
// the first reason that applies, in the order of the Reason constants; any other error means that want is unusable.
// The payload is not read before its signature is verified.
func Verify(token string, keys *KeySet, want Expect) (*Verified, error) {
	if err := want.check(); err != nil {
		return nil, err
	}
	if keys == nil {
		keys = new(KeySet)
	}
	p, err := split(token)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(p.header)
	if err != nil {
		return nil, err
	}
	k, err := keys.choose(h)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(p.input))
	if err := rsa.VerifyPKCS1v15(k.public, crypto.SHA256, digest[:], p.signature); err != nil {
		return nil, &Refusal{Reason: Signature, Problem: "the signature does not verify with key " + quote(h.KeyID), Err: err}
	}
	v, err := readVerified(h, p.payload)
	if err != nil {
		return nil, err
	}
	if err := want.judge(v, k); err != nil {
		return nil, err
	}
	return v, nil
}

func (want Expect) check() error {
	switch {
	case want.Issuer == "":
		return errors.New("verifying a token: no issuer is expected")
	case want.At.IsZero():
		return errors.New("verifying a token: no time is given")
	case want.Leeway < 0 || want.Leeway > MaxLeeway:
		return fmt.Errorf("verifying a token: leeway %v is not between 0 and %v", want.Leeway, MaxLeeway)
	}
	return nil
}

// choose finds the key that the header names. The algorithm is looked at first, so that no key is ever used in an
// algorithm that a token chooses (RFC 8725 section 3.1).
func (s *KeySet) choose(h Header) (key, error) {
	if h.Algorithm != AlgorithmRS256 {
		return key{}, &Refusal{Reason: Algorithm, Problem: "the token is not signed with an accepted algorithm",
			Expected: AlgorithmRS256, Found: quote(h.Algorithm)}
	}
	k, ok := s.keys[h.KeyID]
	if ok {
		return k, nil
	}
	r := &Refusal{Reason: UnknownKey, Problem: "the key set has no key with the token's kid", Found: quote(h.KeyID),
		Expected: fmt.Sprintf("one of %d keys", len(s.keys))}
	if why, ok := s.skipped[h.KeyID]; ok {
		r.Problem = "the token's key is listed but cannot be used, " + why
	}
	return key{}, r
}

// judge compares what the signed token says with what is expected.
func (want Expect) judge(v *Verified, k key) error {
	switch {
	case v.issuer != want.Issuer:
		return &Refusal{Reason: Issuer, Problem: "the token is of another issuer", Expected: quote(want.Issuer), Found: quote(v.issuer)}
	case !want.SharedKeys && len(k.instances) > 0 && !slices.Contains(k.instances, v.issuer):
		return &Refusal{Reason: Issuer, Problem: "the certificate of the token's key names another issuer",
			Expected: quote("CN=" + v.issuer), Found: quote("CN=" + k.instances[0])}
	case want.At.Add(want.Leeway).Before(v.notBefore):
		return &Refusal{Reason: NotYetValid, Problem: "the token is not valid yet",
			Expected: "a time from " + clock(v.notBefore), Found: clock(want.At)}
	case !want.At.Add(-want.Leeway).Before(v.expires):
		return &Refusal{Reason: Expired, Problem: "the token has expired", Expected: "a time before " + clock(v.expires), Found: clock(want.At)}
	case !want.AllowDevelopment && v.Development():
		return &Refusal{Reason: Development, Problem: "the token was issued in development mode, which trusts simulated hardware",
			Remedy: "allow development tokens if this is a test"}
	}
	return nil
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
